"""Strict decoding: a declared encoding, else that of a byte-order mark, else UTF-8.

Nothing is guessed, dropped or replaced; an error message may suggest encodings that fit.
"""

import codecs
import unicodedata
from typing import NamedTuple

from lstmega.errors import CorpusError


class Decoded(NamedTuple):
    """A text, Python's name of the encoding of the whole file, and a remark for the user."""

    text: str
    encoding: str
    remark: str | None


class _Mark(NamedTuple):
    start: bytes
    codec: str  # of the bytes behind the mark
    encoding: str  # of the file with its mark
    title: str


_MARKS = (  # UTF-32 first: its little-endian mark begins with UTF-16's
    _Mark(codecs.BOM_UTF32_LE, "utf-32-le", "utf-32", "UTF-32"),
    _Mark(codecs.BOM_UTF32_BE, "utf-32-be", "utf-32", "UTF-32"),
    _Mark(codecs.BOM_UTF16_LE, "utf-16-le", "utf-16", "UTF-16"),
    _Mark(codecs.BOM_UTF16_BE, "utf-16-be", "utf-16", "UTF-16"),
    _Mark(codecs.BOM_UTF8, "utf-8", "utf-8-sig", "UTF-8"),
)
_MARK = "\ufeff"  # the same as a character
_NOT_OF_FILES = ("idna", "punycode", "unicode-escape", "raw-unicode-escape")
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
# Strictest first: a long text that decodes as Shift JIS is most likely Shift JIS, while cp1252 decodes
# nearly everything.
_LEGACY = ("utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "big5", "gb18030")
_SINGLE_BYTE = ("cp1252", "cp1251", "koi8-r", "cp1250", "latin-1")
_TRIED = 1 << 20  # bytes on which an encoding is tried before a message names it
_SUGGESTED = 3


def codec_of(encoding: str) -> str:
    """Return Python's own name of a text encoding: `latin-1` -> `iso8859-1`.

    Raises:
        CorpusError: There is no such encoding, or it does not turn bytes into text.
    """
    try:
        "a".encode(encoding)  # refuses codecs that are no text encodings, such as rot13 and hex
        if (name := codecs.lookup(encoding).name) in _NOT_OF_FILES:
            raise LookupError(name)
    except (LookupError, ValueError, TypeError) as error:
        raise CorpusError(
            f"--encoding must be a text encoding of Python. Received: {encoding!r}. Accepted, for "
            "example: utf-8, utf-16, latin-1, cp1252, cp1251, koi8-r, shift_jis, gb18030, big5."
        ) from error
    return name


def decode(raw: bytes, *, declared: str | None, label: str) -> Decoded:
    """Decode a file strictly; a byte-order mark is never part of the text.

    Args:
        raw: All bytes of the file.
        declared: The encoding that the user declared, as `codec_of` returned it.
        label: The file's name in messages.

    Raises:
        CorpusError: It cannot be decoded (the message has the byte's offset and line), or is binary.
    """
    mark = next((mark for mark in _MARKS if raw.startswith(mark.start)), None)
    codec = _choose(raw, mark, declared, label)
    text = _decode_strictly(raw, codec, label)
    if "\0" in text:
        raise CorpusError(_binary(raw, label))
    if text.startswith(_MARK):
        if mark and mark.codec == codec:
            return Decoded(text[1:], mark.encoding, f"{mark.title} by its byte-order mark")
        return Decoded(text[1:], codec, "the byte-order mark is not part of the text")
    remark = f"read as {codec}, as declared, in spite of its {mark.title} mark" if mark else None
    return Decoded(text, codec, remark)


def _choose(raw: bytes, mark: _Mark | None, declared: str | None, label: str) -> str:
    if declared is None:
        if mark is None and b"\0" in raw:
            raise CorpusError(_binary(raw, label))
        return mark.codec if mark else "utf-8"
    if declared == "utf-8-sig" or not raw:
        return "utf-8"
    if declared not in ("utf-16", "utf-32"):
        return declared
    for candidate in _MARKS:
        if candidate.encoding == declared and raw.startswith(candidate.start):
            return candidate.codec
    raise CorpusError(
        f"{label!r} has no byte-order mark of this encoding. Received: --encoding {declared}. "
        f"Accepted without a mark: --encoding {declared}-le or {declared}-be."
    )


def _decode_strictly(raw: bytes, codec: str, label: str) -> str:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        before = raw[: error.start].decode(codec, "replace")
        line = 1 + before.count("\n") + before.count("\r") - before.count("\r\n")
        suggested = " or ".join(f"--encoding {name}" for name in _suggestions(raw, codec))
        raise CorpusError(
            f"{label!r} is not valid {codec}: {error.reason} at byte offset {error.start}, line "
            f"{line}. Received: 0x{raw[error.start : error.start + 4].hex()}. Accepted: a text in "
            f"{codec}, or its encoding, declared; for example {suggested}."
        ) from error


def _binary(raw: bytes, label: str) -> str:
    wide = _wide_codec(raw)
    hint = f", or --encoding {wide}, which fits" if wide else ""
    return (
        f"{label!r} is binary, not text. Received: a NUL character, the first zero byte at offset "
        f"{raw.find(0)}. Accepted: text without NUL, --tokens byte for any bytes{hint}."
    )


def _wide_codec(raw: bytes) -> str | None:
    """Return the UTF-32 or UTF-16 codec that fits a text without a byte-order mark."""
    # Of ASCII in UTF-16, every second byte is zero: the odd ones where it is little-endian.
    zeros_odd, zeros_even = raw[1:_TRIED:2].count(0), raw[0:_TRIED:2].count(0)
    swapped = {"utf-16-le": zeros_even, "utf-16-be": zeros_odd}
    fitting = (c for c in _WIDE if swapped.get(c, 0) <= (zeros_odd + zeros_even) // 10)
    return next((codec for codec in fitting if _is_plausible(raw, codec)), None)


def _suggestions(raw: bytes, failed: str) -> list[str]:
    names = [name for name in (*_LEGACY, *_SINGLE_BYTE) if codecs.lookup(name).name != failed]
    return [name for name in names if _is_plausible(raw, name)][:_SUGGESTED] or ["latin-1"]


def _is_plausible(raw: bytes, codec: str) -> bool:
    """Return whether the start decodes to characters that occur in texts."""
    start = raw[:_TRIED]
    try:
        text = codecs.getincrementaldecoder(codec)().decode(start, len(start) == len(raw))
    except UnicodeDecodeError:
        return False
    unusual = {"Cc", "Cn", "Co", "Cs"}
    return unusual.isdisjoint(map(unicodedata.category, set(text) - set("\t\n\v\f\r\ufeff\x1a")))
