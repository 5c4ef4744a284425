"""Corpora: one or several texts, read, decoded and joined, with their sources; and the held-out tail.

CRLF and lone CR become LF unless line ends are kept; no other character is changed. `sources` finds the
files, `encodings` decodes them, `download` has the named corpora.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Literal, get_args

from lstmega.data import encodings, memory
from lstmega.data.download import OnBytes
from lstmega.data.sources import Finder, Found, accepted, safe_name, shown
from lstmega.errors import CorpusError, UsageError

Tokens = Literal["char", "byte"]

CORPORA = Path("corpora")
MANY_CHARACTERS = 1000  # distinct ones, above which a note suggests --max-vocabulary
_CHUNK = 1 << 22  # characters read in one piece, to bound the memory
_LISTED = 3  # files that a note lists
_NEEDED = 3  # bytes of memory for each byte of ASCII: text, ids, and TensorFlow's copy of these


@dataclass(frozen=True)
class Source:
    """One file that was read.

    Args:
        path: Absolute path, `-` for standard input, or the name of a named corpus.
        encoding: Python's name of its encoding; `bytes` for byte tokens.
        size: In bytes.
        sha256: Of its bytes, 64 hexadecimal digits.
    """

    path: str
    encoding: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Corpus:
    """A text and its sources.

    Args:
        name: Short and safe in a file name.
        text: Decoded, at least one character; for byte tokens the bytes decoded as Latin-1.
        sources: The files, in the order in which they were joined.
        tokens: Whether a character of `text` stands for a code point or a byte.
        line_ends: `lf` (CRLF and lone CR became LF) or `kept`.
        lower: Whether the text was turned into lower case.
        notes: Sentences that the user should read.
    """

    name: str
    text: str = field(repr=False)
    sources: tuple[Source, ...] = ()
    tokens: Tokens = "char"
    line_ends: str = "kept"
    lower: bool = False
    notes: tuple[str, ...] = ()

    @classmethod
    def from_text(cls, text: str, *, name: str = "text") -> "Corpus":
        """Make a corpus of a text, which is not changed.

        Raises:
            CorpusError: The text is empty, or not a text.
        """
        if not isinstance(text, str) or not text:
            raise CorpusError(
                "A corpus needs a text of at least one character. "
                f"Received: {'an empty text' if text == '' else type(text).__name__}."
            )
        return cls(safe_name(name, "text"), text, notes=tuple(_note_on_size(text)))

    @cached_property
    def sha256(self) -> str:
        """The hash of the text in UTF-8 (lone surrogates passed), as 64 hexadecimal digits."""
        digest = hashlib.sha256()
        for start in range(0, len(self.text), _CHUNK):
            digest.update(self.text[start : start + _CHUNK].encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def split(self, validation: float) -> tuple[str, str]:
        """Return the text to train on and the held-out tail, as `split_at` says."""
        at = self.split_at(validation)
        return self.text[:at], self.text[at:]

    def split_at(self, validation: float) -> int:
        """Return the place where the held-out tail begins.

        The tail is the fraction `validation` of the characters, rounded up, as in the published results:
        111,540 of tiny-shakespeare's 1,115,394 at 0.1.

        Raises:
            UsageError: `validation` is not from 0 to below 1.
        """
        if not (math.isfinite(validation) and 0 <= validation < 1):
            raise UsageError(f"--validation must be from 0 to below 1. Received: {validation!r}.")
        # Exact decimals: in binary 10 * (1 - 0.9) is below 1.
        return math.floor(len(self.text) * (1 - Fraction(repr(float(validation)))))


def read(
    sources: Sequence[str | Path],
    *,
    encoding: str | None = None,
    glob: str = "**/*.txt",
    tokens: Tokens = "char",
    keep_line_ends: bool = False,
    lower: bool = False,
    corpora: Path = CORPORA,
    stdin: BinaryIO | None = None,
    progress: OnBytes | None = None,
) -> Corpus:
    """Read one or several texts and join them in the order given.

    Where a text does not end in a line end, one LF separates it from the next.

    Args:
        sources: Files, directories, `-`, or names. A name without a directory is a path, `<name>.txt` in
            `corpora`, or a named corpus: the first that exists.
        encoding: Python's name of their encoding; None means UTF-8 or the encoding of a byte-order mark.
        glob: The files to take from a directory: sorted, regular, not hidden.
        tokens: `byte` takes the bytes as they are.
        keep_line_ends: Keep CRLF and CR.
        lower: Turn the text into lower case.
        corpora: The directory of named corpora.
        stdin: The stream behind `-`; standard input by default.
        progress: Called with the bytes done and in all while a named corpus is downloaded.

    Raises:
        CorpusError: There is nothing to read, or it is not readable, not decodable, binary or empty.
        DownloadError: A named corpus could not be downloaded.
    """
    if isinstance(sources, str | Path):
        sources = [sources]
    codec = _check_request(sources, encoding, tokens)
    if lower and tokens == "byte":
        raise UsageError("--lower needs characters. Received: --tokens byte.")
    reader = _Reader(codec, tokens, keep_line_ends or tokens == "byte", lower)
    finder = Finder(glob, corpora, stdin, progress)
    found = [item for source in sources for item in finder.find(str(source))]
    memory.check(_NEEDED * sum(item.size for item in found), _spoken(found))
    for item in found:
        reader.add(item)
    return reader.corpus(finder.names[0], finder.notes)


def describe(corpus: Corpus) -> dict[str, Any]:
    """Return the facts about a corpus that `corpus info --json` prints."""
    text = corpus.text
    counts = Counter(text)
    ascii_count = sum(count for character, count in counts.items() if character.isascii())
    return {
        "name": corpus.name,
        "tokens": corpus.tokens,
        "characters": len(text),
        "distinct_characters": len(counts),
        "lines": counts["\n"] + (not text.endswith("\n")),
        "words": sum(1 for _ in re.finditer(r"\S+", text)),
        "non_ascii_share": 1 - ascii_count / len(text),
        "most_frequent": [
            {"character": character, "code_point": f"U+{ord(character):04X}", "count": count}
            for character, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:20]
        ],
        "line_ends": corpus.line_ends,
        "sha256": corpus.sha256,
        "sources": [asdict(source) for source in corpus.sources],
        "notes": list(corpus.notes),
    }


class _Reader:
    """Decodes files, joins them, and collects notes about them."""

    def __init__(self, codec: str | None, tokens: Tokens, keep_line_ends: bool, lower: bool) -> None:
        self._codec, self._tokens, self._keep, self._lower = codec, tokens, keep_line_ends, lower
        self._parts: list[str] = []
        self._sources: list[Source] = []
        self._remarks: dict[str, list[str]] = {}
        self._line_ends: Counter[str] = Counter()

    def add(self, item: Found) -> None:
        raw = item.read()
        digest, size = hashlib.sha256(raw).hexdigest(), len(raw)
        text, encoding = self._decode(raw, item.label)
        del raw  # before the line ends, which need a copy
        self._sources.append(Source(item.label, encoding, size, digest))
        if not text:
            return
        if self._parts and not self._parts[-1].endswith(("\n", "\r")):
            self._parts.append("\n")
        self._parts.append(self._normalise(text.lower() if self._lower else text))

    def corpus(self, name: str, notes: Sequence[str]) -> Corpus:
        if not self._parts:
            read = ", ".join(f"{source.path!r}" for source in self._sources[:_LISTED])
            raise CorpusError(
                f"The corpus is empty. Received: {read}, with no character. "
                "Accepted: a text of at least one character."
            )
        text = "".join(self._parts)
        notes = [*notes, *self._notes(), *(_note_on_size(text) if self._tokens == "char" else ())]
        sources, line_ends = tuple(self._sources), "kept" if self._keep else "lf"
        name = safe_name(name, "text")
        return Corpus(name, text, sources, self._tokens, line_ends, self._lower, tuple(notes))

    def _decode(self, raw: bytes, label: str) -> tuple[str, str]:
        if self._tokens == "byte":
            return raw.decode("latin-1"), "bytes"
        text, encoding, remark = encodings.decode(raw, declared=self._codec, label=label)
        if remark:
            self._remarks.setdefault(remark, []).append(shown(label))
        return text, encoding

    def _normalise(self, text: str) -> str:
        if self._keep or "\r" not in text:
            return text
        pairs = text.count("\r\n")
        self._line_ends.update({"CRLF": pairs, "CR": text.count("\r") - pairs})
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def _notes(self) -> Iterator[str]:
        for remark, labels in self._remarks.items():
            yield f"{_listed(labels)}: {remark}."
        for kind, count in self._line_ends.items():
            if count:
                yield f"{count:,} {kind} line end{'s'[: count > 1]} became LF."
        hashes = Counter(source.sha256 for source in self._sources if source.size)
        twice = [shown(s.path) for s in self._sources if hashes[s.sha256] > 1]
        if twice:
            yield f"{_listed(twice)}: the same bytes, so held-out text may repeat training text."


def _check_request(sources: Sequence[str | Path], encoding: str | None, tokens: Tokens) -> str | None:
    names = [str(source) for source in sources]
    if not names or "" in names or names.count("-") > 1:
        raise CorpusError(
            f"--corpus needs texts, and standard input can be read only once. Received: {names}. "
            f"Accepted: {accepted()}."
        )
    if tokens not in get_args(Tokens):
        raise UsageError(f"--tokens must be one of: char, byte. Received: {tokens!r}.")
    if tokens == "byte" and encoding is not None:
        raise UsageError(
            f"--tokens byte takes bytes as they are. Received: --encoding {encoding}. "
            "Accepted: one of the two."
        )
    return None if encoding is None else encodings.codec_of(encoding)


def _note_on_size(text: str) -> Iterator[str]:
    if text.isascii() or (distinct := len(set(text))) <= MANY_CHARACTERS:
        return
    rare = sum(count < 5 for count in Counter(text).values())
    yield (
        f"{distinct:,} distinct characters in {len(text):,}, {rare:,} of them fewer than 5 times: "
        "each is a row of the embedding and of the logits. --max-vocabulary N keeps the most "
        "frequent and folds the rest into <unk>."
    )


def _spoken(found: Sequence[Found]) -> str:
    return f"The text of {_listed([shown(item.label) for item in found])}"


def _listed(labels: Sequence[str]) -> str:
    more = f" and {len(labels) - _LISTED:,} more" if len(labels) > _LISTED else ""
    return ", ".join(labels[:_LISTED]) + more
