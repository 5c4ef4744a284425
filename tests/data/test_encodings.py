"""Bytes to text: declared, marked or strict UTF-8, and messages that help."""

import codecs
import encodings.aliases

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.data.encodings import codec_of, decode
from lstmega.errors import CorpusError

TEXT = "Olá, é o “Dom Casmurro” — 𝔘😀\nfim"


def decoded(raw: bytes, declared: str | None = None):
    return decode(raw, declared=declared and codec_of(declared), label="a.txt")


def refusal(raw: bytes, declared: str | None = None) -> str:
    with pytest.raises(CorpusError) as caught:
        decoded(raw, declared)
    assert "Received: " in str(caught.value)
    assert "Accepted" in str(caught.value)
    return str(caught.value)


def test_utf_8_is_the_default():
    assert decoded(TEXT.encode()) == (TEXT, "utf-8", None)
    assert decoded(b"") == ("", "utf-8", None)


@pytest.mark.parametrize(
    ("mark", "codec", "encoding", "title"),
    [
        (codecs.BOM_UTF8, "utf-8", "utf-8-sig", "UTF-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le", "utf-16", "UTF-16"),
        (codecs.BOM_UTF16_BE, "utf-16-be", "utf-16", "UTF-16"),
        (codecs.BOM_UTF32_LE, "utf-32-le", "utf-32", "UTF-32"),
        (codecs.BOM_UTF32_BE, "utf-32-be", "utf-32", "UTF-32"),
    ],
)
class TestByteOrderMark:
    def test_decides(self, mark, codec, encoding, title):
        raw = mark + TEXT.encode(codec)
        text, said, remark = decoded(raw)
        assert (text, said, remark) == (TEXT, encoding, f"{title} by its byte-order mark")
        assert raw.decode(said) == TEXT

    def test_is_not_text_where_the_encoding_is_declared(self, mark, codec, encoding, title):
        raw = mark + TEXT.encode(codec)
        assert decoded(raw, encoding).text == TEXT
        assert decoded(raw, codec).text == TEXT

    def test_alone_is_an_empty_text(self, mark, codec, encoding, title):
        assert decoded(mark).text == ""


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_mark_gives_way_to_another_declared_encoding(mark):
    text, encoding, remark = decoded(mark + b"abc", "koi8-r")
    assert (text[-3:], encoding) == ("abc", "koi8-r")
    assert remark.startswith("read as koi8-r, as declared, in spite of its UTF-")


def test_a_mark_in_another_declared_encoding_is_not_text():
    text, encoding, remark = decoded("\ufeff三國".encode("gb18030"), "gb18030")
    assert (text, encoding) == ("三國", "gb18030")
    assert "byte-order mark" in remark


def test_utf_16_without_mark_needs_an_order():
    assert "--encoding utf-16-le or utf-16-be" in refusal("abc".encode("utf-16-be"), "utf-16")
    assert "utf-32-le" in refusal("abc".encode("utf-32-le"), "utf-32")
    assert decoded("abc".encode("utf-16-be"), "utf-16-be").text == "abc"


def test_a_big_endian_mark_is_obeyed_under_declared_utf_16():
    assert decoded(codecs.BOM_UTF16_BE + "abc".encode("utf-16-be"), "utf-16").text == "abc"


@pytest.mark.parametrize(
    "name",
    ["rot13", "hex", "base64", "zlib", "undefined", "idna", "punycode", "unicode_escape", "",
     "utf-9", "a\0b", "é", "\ud800", 8],
)  # fmt: skip
def test_what_is_no_text_encoding_is_refused(name):
    with pytest.raises(CorpusError, match="--encoding must be a text encoding") as caught:
        codec_of(name)
    assert "utf-8, utf-16, latin-1" in str(caught.value)


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
def test_an_invalid_byte_has_offset_and_line(ends):
    start = f"um{ends}dois{ends}trê".encode()
    message = refusal(start + b"\xe9s")
    assert f"byte offset {len(start)}, line 3" in message
    assert "0xe973" in message


def test_a_cut_sequence_at_the_end_is_invalid():
    assert "unexpected end of data" in refusal("fim é".encode()[:-1])


def test_the_line_is_counted_in_the_declared_encoding():
    raw = "a\nb\nc".encode("utf-16-le") + b"\x00\xd8" + "d".encode("utf-16-le")
    assert "byte offset 10, line 3" in refusal(raw, "utf-16-le")


@pytest.mark.parametrize(
    ("text", "codec"),
    [
        ("é assim que se escreve, não é? “Está bem” — disse ele.\n", "cp1252"),
        ("吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。\n", "shift_jis"),
        ("話說天下大勢,分久必合,合久必分。周末七國分爭,并入於秦。\n", "gb18030"),
    ],
)
def test_encodings_that_would_do_are_suggested_and_never_applied(text, codec):
    message = refusal(text.encode(codec))
    assert f"--encoding {codec}" in message
    assert decoded(text.encode(codec), codec).text == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_text_without_a_mark_is_recognised(codec):
    message = refusal("It is a text like any other, naïve or not.\n".encode(codec))
    assert "--tokens byte" in message
    assert f"--encoding {codec}, which fits" in message


def test_binary_is_refused_with_the_way_out():
    message = refusal(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\3\x20\0\0\2\x58\x08\6\0\0\0")
    assert "'a.txt' is binary" in message
    assert "--tokens byte" in message
    assert "utf-" not in message
    assert "offset 3" in refusal(b"abc\0def")
    assert "is binary" in refusal(b"abc\0def", "latin-1")


REAL = [
    ("odd/crlf_bom_dom_casmurro.txt", None, "utf-8-sig", "CASMURRO"),
    ("odd/utf16le_bom_dom_casmurro.txt", None, "utf-16", "CASMURRO"),
    ("odd/latin1_dom_casmurro.txt", "latin-1", "iso8859-1", "CASMURRO"),
    ("odd/gb18030_sanguoyanyi.txt", "gb18030", "gb18030", "三"),
    ("odd/emoji-test.txt", None, "utf-8", "😀"),
    ("odd/chardet/utf16be_bom.srt", None, "utf-16", "-->"),
    ("odd/chardet/utf16le_bom.srt", None, "utf-16", "-->"),
    ("odd/chardet/utf32le_bom.srt", None, "utf-32", "-->"),
    ("odd/chardet/utf8_bom.srt", None, "utf-8-sig", "-->"),
    ("odd/chardet/utf16le_nobom.txt", "utf-16-le", "utf-16-le", " "),
    ("odd/chardet/utf16le_plane1_nobom.html", "utf-16-le", "utf-16-le", "<"),
    ("odd/chardet/big5_chinese.xml", "big5", "big5", "<"),
    ("odd/chardet/cp1250_hungarian.xml", "cp1250", "cp1250", "ö"),
    ("odd/chardet/cp1251_russian.xml", "cp1251", "cp1251", "а"),
    ("odd/chardet/eucjp_japanese.xml", "euc_jp", "euc_jp", "の"),
    ("odd/chardet/koi8r_russian.xml", "koi8-r", "koi8-r", "а"),
    ("odd/chardet/latin1_small_a.txt", "latin-1", "iso8859-1", "é"),
    ("odd/chardet/shiftjis_japanese.xml", "shift_jis", "shift_jis", "の"),
]


@pytest.mark.parametrize(("name", "declared", "encoding", "sign"), REAL)
def test_real_files(real_corpus, name, declared, encoding, sign):
    raw = real_corpus(name).read_bytes()
    text, said, _ = decoded(raw, declared)
    assert said == encoding
    assert sign in text
    assert text == raw.decode(said)
    if declared:
        message = refusal(raw)
        assert "--encoding " in message


def test_the_marks_of_one_real_text_agree(real_corpus):
    names = ["utf8_bom.srt", "utf16le_bom.srt", "utf16be_bom.srt", "utf32le_bom.srt"]
    texts = [decoded(real_corpus(f"odd/chardet/{name}").read_bytes()).text for name in names]
    assert len(set(texts)) == 1


NAMES = sorted(set(encodings.aliases.aliases.values()))


@settings(max_examples=400)
@given(st.binary(max_size=40), st.sampled_from([None, *NAMES]))
def test_any_bytes_decode_or_are_refused(raw, name):
    try:
        text, encoding, _ = decode(raw, declared=name and codec_of(name), label="a.txt")
    except CorpusError:
        return
    assert "\0" not in text
    assert codecs.lookup(encoding)


@given(st.text(st.characters(exclude_characters="\0\ufeff", exclude_categories=["Cs"])))
def test_utf_8_round_trip(text):
    assert decoded(text.encode()).text == text
