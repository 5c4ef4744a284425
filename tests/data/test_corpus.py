"""Texts: what is read, in which order, with which notes; the held-out tail."""

import hashlib
import io
import json
import platform
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data import corpus, download
from lstmega.data.corpus import Corpus, Source, describe, read
from lstmega.errors import CorpusError, UsageError

ANY_TEXT = st.text(st.characters(exclude_categories=[]), min_size=1)  # lone surrogates included


@pytest.fixture
def file(tmp_path):
    """A function that writes bytes or text and returns the path."""

    def write(content, name="text.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_one_file(file):
    path = file("Olá\n", "Meu livro (1).txt")
    assert read([path]) == Corpus(
        name="Meu-livro-1",
        text="Olá\n",
        sources=(Source(str(path), "utf-8", 5, hashlib.sha256("Olá\n".encode()).hexdigest()),),
        tokens="char",
        line_ends="lf",
        notes=(),
    )
    assert read(str(path)) == read([str(path)])


def test_relative_paths_become_absolute(file, tmp_path, monkeypatch):
    file("x")
    monkeypatch.chdir(tmp_path)
    assert read(["text.txt"]).sources[0].path == str(tmp_path / "text.txt")


class TestLineEnds:
    MIXED = b"one\r\ntwo\rthree\n\r\r\n\n"

    def test_become_lf_and_are_counted(self, file):
        read_in = read([file(self.MIXED)])
        assert read_in.text == "one\ntwo\nthree\n\n\n\n"
        assert read_in.line_ends == "lf"
        assert read_in.notes == ("2 CRLF line ends became LF.", "2 CR line ends became LF.")

    def test_are_kept_on_demand(self, file):
        read_in = read([file(self.MIXED)], keep_line_ends=True)
        assert read_in.text == self.MIXED.decode()
        assert (read_in.line_ends, read_in.notes) == ("kept", ())

    def test_other_separators_stay(self, file):
        assert read([file("a\u2028b\x85c\x0bd\x0c")]).text == "a\u2028b\x85c\x0bd\x0c"

    @given(st.lists(st.text("ab\u2028", max_size=3)), st.sampled_from(["\n", "\r\n", "\r"]))
    def test_round_trip(self, lines, ends):
        text = "".join(line + "\n" for line in lines) + "."
        raw = text.replace("\n", ends).encode()
        assert read(["-"], stdin=io.BytesIO(raw)).text == text
        kept = read(["-"], stdin=io.BytesIO(raw), keep_line_ends=True)
        assert kept.text.encode() == raw


class TestSeveral:
    def test_are_joined_in_the_order_given(self, file):
        paths = [file("b", "b.txt"), file("a\n", "a.txt"), file("c", "c.txt")]
        joined = read(paths)
        assert joined.text == "b\na\nc"
        assert joined.name == "b"
        assert [source.path for source in joined.sources] == [str(path) for path in paths]

    def test_an_empty_one_adds_nothing(self, file):
        paths = [file("", "e.txt"), file("a", "a.txt"), file("", "f.txt"), file("b", "b.txt")]
        assert read(paths).text == "a\nb"
        assert read(paths[:3]).text == "a"

    def test_kept_line_ends_need_no_separator(self, file):
        paths = [file("a\r", "a.txt"), file("b\r\n", "b.txt"), file("c", "c.txt")]
        assert read(paths, keep_line_ends=True).text == "a\rb\r\nc"

    def test_the_same_bytes_twice_are_remarked(self, file):
        notes = read([file("same", "a.txt"), file("same", "b.txt"), file("", "c.txt")]).notes
        assert notes == ("a.txt, b.txt: the same bytes, so held-out text may repeat training text.",)

    def test_remarks_are_gathered(self, file):
        files = [file(b"\xef\xbb\xbfa\r\n%d" % n, f"{n}.txt") for n in range(5)]
        assert read(files).notes == (
            "0.txt, 1.txt, 2.txt and 2 more: UTF-8 by its byte-order mark.",
            "5 CRLF line ends became LF.",
        )


class TestBytes:
    def test_are_taken_as_they_are(self, file):
        raw = bytes(range(256)) + b"\xef\xbb\xbf\r\n"
        read_in = read([file(raw)], tokens="byte")
        assert read_in.text.encode("latin-1") == raw
        assert (read_in.tokens, read_in.line_ends, read_in.notes) == ("byte", "kept", ())
        assert read_in.sources[0].encoding == "bytes"

    def test_exclude_an_encoding(self, file):
        with pytest.raises(UsageError, match="--encoding latin-1"):
            read([file("x")], tokens="byte", encoding="latin-1")

    def test_are_one_of_two_kinds(self, file):
        with pytest.raises(UsageError, match=r"one of: char, byte. Received: 'word'"):
            read([file("x")], tokens="word")

    def test_read_what_is_refused_as_text(self, file):
        path = file(b"a\0b")
        with pytest.raises(CorpusError, match="--tokens byte"):
            read([path])
        assert read([path], tokens="byte").text == "a\0b"


def test_a_declared_encoding(file):
    path = file("é".encode("cp1252"))
    assert read([path], encoding="windows-1252").sources[0].encoding == "cp1252"
    with pytest.raises(CorpusError, match=r"text\.txt' is not valid utf-8.*offset 0, line 1"):
        read([path])
    with pytest.raises(CorpusError, match="--encoding must be a text encoding"):
        read([path], encoding="rot13")


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_an_empty_corpus(file, content):
    with pytest.raises(CorpusError, match="corpus is empty") as caught:
        read([file(content, "a.txt"), file(b"", "b.txt")])
    assert "a.txt" in str(caught.value)
    assert "at least one character" in str(caught.value)
    assert caught.value.exit_code == 2


def test_many_distinct_characters_are_remarked(file):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 1001))) + "\u4e00" * 9
    (note,) = read([file(text)]).notes
    assert note.startswith("1,001 distinct characters in 1,010, 1,000 of them fewer than 5 times")
    assert "--max-vocabulary N" in note
    assert read([file(text[1:1001])]).notes == ()
    assert Corpus.from_text(text).notes == (note,)


class TestFromText:
    def test_keeps_every_character(self):
        text = "a\r\n\0\ud800"
        made = Corpus.from_text(text, name="../my text")
        assert (made.text, made.name, made.sources) == (text, "my-text", ())
        assert made.line_ends == "kept"

    @pytest.mark.parametrize("text", ["", b"bytes", None])
    def test_needs_a_text(self, text):
        with pytest.raises(CorpusError, match=r"at least one character. Received: "):
            Corpus.from_text(text)

    def test_does_not_print_its_text(self):
        assert "secret" not in repr(Corpus.from_text("secret"))


@pytest.mark.parametrize(
    ("name", "safe"),
    [("a", "a"), ("..", "text"), ("", "text"), ("a/b\\c:d", "a-b-c-d"), ("-x", "x"),
     ("紅樓夢", "紅樓夢"), ("a\n\x1b[0m", "a-0m"), ("\udcff", "text"), ("x" * 99, "x" * 40)],
)  # fmt: skip
def test_names_are_safe_in_file_names(name, safe):
    assert Corpus.from_text("x", name=name).name == safe


@given(ANY_TEXT)
def test_the_hash_is_of_the_text_alone(text):
    expected = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    assert Corpus.from_text(text).sha256 == expected


def test_the_hash_does_not_depend_on_the_chunks(monkeypatch):
    text = "aé€😀\ud800" * 5
    expected = Corpus.from_text(text).sha256
    monkeypatch.setattr(corpus, "_CHUNK", 3)
    assert Corpus.from_text(text).sha256 == expected


class TestSplit:
    @given(ANY_TEXT, st.floats(0, 0.99))
    def test_is_contiguous(self, text, validation):
        training, held_out = Corpus.from_text(text).split(validation)
        assert training + held_out == text
        exact = len(text) * Fraction(repr(validation))
        assert exact <= len(held_out) < exact + 1

    @pytest.mark.parametrize(
        ("characters", "validation", "held_out"),
        [(1_115_394, 0.1, 111_540), (600_893, 0.1, 60_090), (10, 0.9, 9), (10, 0.7, 7),
         (100, 0.07, 7), (10, 0.0, 0), (10, 0, 0), (1, 0.1, 1)],
    )  # fmt: skip
    def test_counts_as_the_field_does(self, characters, validation, held_out):
        assert len(Corpus.from_text("x" * characters).split(validation)[1]) == held_out

    @pytest.mark.parametrize("validation", [1, 1.0, -0.1, float("nan"), float("inf")])
    def test_bounds(self, validation):
        with pytest.raises(UsageError, match=r"--validation must be from 0 to below 1. Received"):
            Corpus.from_text("abc").split(validation)


class TestDescribe:
    def test_counts(self, file):
        path = file("Um, dois\nTRÊS  dois")
        said = describe(read([path]))
        assert said["characters"] == 19
        assert (said["lines"], said["words"]) == (2, 4)
        assert said["distinct_characters"] == 13
        assert said["non_ascii_share"] == pytest.approx(1 / 19)
        assert said["most_frequent"][0] == {"character": " ", "code_point": "U+0020", "count": 3}
        assert said["sources"][0]["path"] == str(path)
        assert json.loads(json.dumps(said)) == said

    @given(ANY_TEXT)
    def test_agrees_with_a_slow_twin(self, text):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(corpus, "_CHUNK", 3)
            said = describe(Corpus.from_text(text))
        assert said["words"] == len(text.split())
        assert said["lines"] == len(io.StringIO(text, newline="\n").readlines())
        assert said["distinct_characters"] == len(Counter(text))
        assert json.loads(json.dumps(said)) == said


class TestRealTexts:
    def test_nietzsche(self, real_corpus):
        text = read([real_corpus("nietzsche.txt")])
        assert (len(text.text), len(set(text.text)), text.notes) == (600_893, 84, ())
        assert len(text.split(0.1)[1]) == 60_090

    def test_hongloumeng(self, real_corpus):
        said = describe(read([real_corpus("hongloumeng.txt")]))
        assert said["notes"][0] == "5,591 CRLF line ends became LF."
        assert said["notes"][1].startswith("4,532 distinct characters in 855,342")
        kept = read([real_corpus("hongloumeng.txt")], keep_line_ends=True)
        assert (len(kept.text), len(set(kept.text))) == (860_933, 4_533)

    def test_one_book_in_three_encodings(self, real_corpus):
        marked = read([real_corpus("odd/utf16le_bom_dom_casmurro.txt")])
        latin = read([real_corpus("odd/latin1_dom_casmurro.txt")], encoding="latin-1")
        assert marked.sha256 == latin.sha256
        assert marked.notes == ("utf16le_bom_dom_casmurro.txt: UTF-16 by its byte-order mark.",)

    def test_a_directory_stops_at_the_first_undecodable_file(self, corpora_directory):
        with pytest.raises(CorpusError, match=r"gb18030_sanguoyanyi\.txt' is not valid utf-8"):
            read([corpora_directory / "odd"], glob="*.txt")


def test_pydoc_needs_no_network(tmp_path):
    text = read(["pydoc"], corpora=tmp_path)
    assert text.name == "pydoc"
    assert text.sources[0].path == f"pydoc (Python {platform.python_version()})"
    assert len(text.text) > 150_000
    assert text.text.count(" the ") > 2_000
    assert text == read(["pydoc.txt"], corpora=tmp_path)
    if platform.python_version_tuple()[:2] == ("3", "11"):
        assert abs(len(text.text) - download.NAMED["pydoc"].characters) < 5_000
