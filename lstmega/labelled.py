"""Labelled sequences for classifiers: a directory of classes, CSV and TSV, arrays, MNIST's own files.

Every mistake in the data is an error that names the file and the row; nothing is dropped in silence but
blank lines.
"""

import csv
import hashlib
import io
import itertools
import re
import stat
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from lstmega import encodings, vectors
from lstmega.corpus import Source
from lstmega.errors import CorpusError
from lstmega.vectors import Vectors

Kind = Literal["text", "vectors"]
_LONGEST = 1_000_000  # characters of a field: a row that is longer is a mistake, such as a lost quote
_ACCEPTED = (
    "a directory with a text file for each class, a .csv or .tsv file, an .npz file with x and y, "
    "or MNIST's images (…-images-idx3-ubyte, also .gz)"
)


@dataclass(frozen=True)
class Labelled:
    """Sequences and their classes.

    Args:
        name: Short and safe in a file name.
        kind: What the sequences are: texts, or arrays `[time, features]`.
        sequences: One for each example.
        labels: The name of its class, `[examples]`.
        sources: The files, in the order in which they were joined.
        notes: Sentences that the user should read.
    """

    name: str
    kind: Kind
    sequences: Sequence[Any] = field(repr=False)
    labels: tuple[str, ...] = field(repr=False)
    sources: tuple[Source, ...] = ()
    notes: tuple[str, ...] = ()

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """The distinct labels in order, numbers by their value."""
        return tuple(sorted(set(self.labels), key=_natural))

    @cached_property
    def sha256(self) -> str:
        """The hash of labels and sequences, as 64 hexadecimal digits; paths do not matter."""
        digest = hashlib.sha256(self.kind.encode())
        for label, sequence in zip(self.labels, self.sequences, strict=True):
            content = (
                sequence.encode("utf-8", "surrogatepass")
                if isinstance(sequence, str)
                else np.ascontiguousarray(sequence).tobytes()
            )
            digest.update(struct.pack("<QQ", len(label.encode()), len(content)))
            digest.update(label.encode() + content)
        return digest.hexdigest()


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are what, by number from 1 or by name; names need a header row.

    Args:
        label: The class; None is the first.
        text: What is read, joined by single spaces; none is all others.
        header: Whether the first row holds names.
    """

    label: str | None = None
    text: tuple[str, ...] = ()
    header: bool = False


def read(
    data: str | Path | Sequence[str | Path],
    *,
    label: str | None = None,
    text: Sequence[str] = (),
    header: bool = False,
    class_names: str | Path | None = None,
    encoding: str | None = None,
) -> Labelled:
    """Read labelled sequences.

    Args:
        data: A path, or several of one kind. A directory with a text file for each class (its name is
            the class, each line an example); a `.csv` or `.tsv` file; an `.npz` file with `y [examples]`
            and `x [examples, time]` or `[examples, time, features]`; MNIST's images, the labels beside
            them, or a directory with its training pair.
        label: The column of the class in a table, by number from 1 or by name; None is the first.
        text: The columns that are read, joined by spaces; none is all others.
        header: Skip the first row of a table; a name of a column means that too.
        class_names: A text file whose lines are the names of the classes 1, 2, ... (or 0, 1, ...).
        encoding: Of text files, where it is not UTF-8 and has no mark.

    Raises:
        CorpusError: Something cannot be read; the message has the file and the row.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(one) for one in data]
    if not paths:
        raise CorpusError(f"--data needs a path. Received: none. Accepted: {_ACCEPTED}.")
    codec = None if encoding is None else encodings.codec_of(encoding)
    columns = Columns(label, (text,) if isinstance(text, str) else tuple(text), header)
    reader = _Reader(codec, columns)
    for path in paths:
        reader.add(path)
    names = None if class_names is None else _class_names(reader, Path(class_names))
    return reader.finished(paths[0].resolve().stem, names)


class _Reader:
    """Files -> sequences and labels."""

    def __init__(self, codec: str | None, columns: Columns) -> None:
        self._codec, self._columns = codec, columns
        self._sequences: list[Any] = []
        self._labels: list[str] = []
        self._sources: list[Source] = []
        self._notes: list[str] = []
        self._kinds: dict[Kind, Path] = {}

    def add(self, path: Path) -> None:
        if path.is_dir():
            found = self._directory(path)
        elif path.suffix.lower() in {".csv", ".tsv"}:
            found = self._table(path, "\t" if path.suffix.lower() == ".tsv" else ",")
        elif path.suffix.lower() == ".npz":
            found = self._archive(path)
        elif "images-idx3" in path.name:
            found = self._idx(path)
        else:
            self.content(path)  # the reason, where there is a better one
            raise CorpusError(f"Not labelled data. Received: {str(path)!r}. Accepted: {_ACCEPTED}.")
        before = len(self._sequences)
        for label, sequence in found:
            self._labels.append(label)
            self._sequences.append(sequence)
        if len(self._sequences) == before:
            raise CorpusError(f"{path} holds no example. Accepted: {_ACCEPTED}.")
        self._kinds.setdefault("text" if isinstance(self._sequences[-1], str) else "vectors", path)

    def finished(self, name: str, names: list[str] | None) -> Labelled:
        if len(self._kinds) > 1:
            raise CorpusError(f"Texts and vectors do not mix. Received: {[*self._kinds.values()]}.")
        [kind] = self._kinds
        widths = {one.shape[1] for one in self._sequences} if kind == "vectors" else {0}
        if len(widths) > 1:
            raise CorpusError(f"All vectors must be of one width. Received: {sorted(widths)}.")
        labels = self._labels if names is None else _named(self._labels, names)
        if len(set(labels)) < 2:
            raise CorpusError(
                f"A classifier needs two classes at least. Received: {sorted(set(labels))} "
                f"in {self._sources[0].path}."
            )
        safe = re.sub(r"[^\w.-]+", "-", name)[:40].strip("-.") or "data"
        return Labelled(
            safe, kind, self._sequences, tuple(labels), tuple(self._sources), tuple(self._notes)
        )

    # Files.

    def content(self, path: Path) -> bytes:
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode):
                raise OSError(0, "not a regular file")
            raw = path.read_bytes()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise CorpusError(
                f"Cannot read the data: {reason}. Received: {str(path)!r}. Accepted: {_ACCEPTED}."
            ) from error
        self._sources.append(
            Source(str(path.absolute()), "bytes", len(raw), hashlib.sha256(raw).hexdigest())
        )
        return raw

    def text(self, path: Path) -> str:
        found, encoding, remark = encodings.decode(
            self.content(path), declared=self._codec, label=str(path)
        )
        last = self._sources[-1]
        self._sources[-1] = Source(last.path, encoding, last.size, last.sha256)
        if remark:
            self._notes.append(f"{path.name}: {remark}.")
        return found

    # Formats: each yields (label, sequence).

    def _directory(self, path: Path) -> Iterator[tuple[str, Any]]:
        images = sorted(path.glob("train-images-idx3-ubyte*"))
        if images:
            yield from self._idx(images[0])
            return
        files = sorted(one for one in path.glob("*.txt") if not one.name.startswith("."))
        if not files:
            raise CorpusError(f"No *.txt file in the directory {str(path)!r}. Accepted: {_ACCEPTED}.")
        for file in files:
            lines = [line.strip() for line in self.text(file).splitlines()]
            if not any(lines):
                raise CorpusError(f"{file} holds no example: a class needs one line at least.")
            for number, line in enumerate(lines, 1):
                _check_length(line, f"{file}, line {number}")
                if line:
                    yield file.stem, line

    def _table(self, path: Path, delimiter: str) -> Iterator[tuple[str, str]]:
        columns = self._columns
        with _long_fields():
            rows = csv.reader(io.StringIO(self.text(path), newline=""), delimiter=delimiter, strict=True)
            numbered = _numbered(rows, path)
            first = next(numbered, None)
            if first is None:
                raise CorpusError(f"{path} is empty. Accepted: rows of a label and a text.")
            width = len(first[1])
            label, texts, named = _places(columns, first[1], path)
            skipped = columns.header or named
            for number, row in numbered if skipped else itertools.chain([first], numbered):
                if len(row) != width:
                    raise CorpusError(
                        f"{path}, line {number}: {len(row)} fields, the first row has {width}. "
                        f"Received: {row!r:.200}."
                    )
                yield _example(row, label, texts, where=f"{path}, line {number}")

    def _archive(self, path: Path) -> Iterator[tuple[str, Vectors]]:
        return vectors.archive(self.content(path), path)

    def _idx(self, path: Path) -> Iterator[tuple[str, Vectors]]:
        beside = path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        x = vectors.idx(self.content(path), path, dimensions=3)
        y = vectors.idx(self.content(beside), beside, dimensions=1)
        return vectors.pairs(x, y, path)


def vectors_of(path: str | Path) -> list[Vectors]:
    """Return the sequences `x [examples, time]` or `[examples, time, features]` of an `.npz` file.

    Raises:
        CorpusError: It is no such file.
    """
    reader = _Reader(None, Columns())
    if Path(path).suffix.lower() != ".npz":
        raise CorpusError(
            f"This classifier reads arrays. Received: {str(path)!r}. Accepted: .npz files."
        )
    content = reader.content(Path(path))
    return [one for _, one in vectors.archive(content, Path(path), needs_labels=False)]


def _numbered(rows: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, with the number of the line that each begins on."""
    begun = 1
    try:
        for row in rows:
            if row:
                yield begun, row
            begun = rows.line_num + 1
    except csv.Error as error:
        raise CorpusError(
            f"{path}, line {begun}: {error}. Accepted: rows of equally many fields, quotes closed, "
            f"fields of at most {_LONGEST:,} characters."
        ) from error


def _places(columns: Columns, first: list[str], path: Path) -> tuple[int, list[int], bool]:
    """Return the places of label and texts, and whether they were named."""
    wanted = [columns.label or "1", *columns.text]
    named = any(not one.isdecimal() for one in wanted)
    places = []
    for one in wanted:
        by_name = first.index(one) if one in first else -1
        place = int(one) - 1 if one.isdecimal() else by_name
        if not 0 <= place < len(first):
            raise CorpusError(f"{path} has no column {one!r}. Received: {first!r:.200}.")
        places.append(place)
    label, *texts = places
    texts = texts or [place for place in range(len(first)) if place != label]
    if not texts:
        raise CorpusError(f"{path} needs a column of texts beside the labels. Received: {first!r:.200}.")
    return label, texts, named


def _example(row: list[str], label: int, texts: list[int], *, where: str) -> tuple[str, str]:
    name, text = row[label].strip(), " ".join(row[place].strip() for place in texts).strip()
    if not name or not text:
        raise CorpusError(f"{where}: no {'text' if name else 'label'}. Received: {row!r:.200}.")
    _check_length(text, where)
    return name, text


def _check_length(text: str, where: str) -> None:
    if len(text) > _LONGEST:
        raise CorpusError(f"{where}: {len(text):,} characters. Accepted: at most {_LONGEST:,}.")


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read fields of `_LONGEST` characters, for a while: its limit is one for the process."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _class_names(reader: _Reader, path: Path) -> list[str]:
    names = [line.strip() for line in reader.text(path).splitlines()]
    while names and not names[-1]:
        names.pop()
    if not names or "" in names or len(set(names)) < len(names):
        raise CorpusError(f"{path} must have a name of its own on each line. Received: {names!r:.200}.")
    return names


def _named(labels: Sequence[str], names: list[str]) -> list[str]:
    first = 0 if "0" in labels else 1
    known = {str(number): name for number, name in enumerate(names, first)}
    if odd := sorted(set(labels) - known.keys(), key=_natural):
        raise CorpusError(
            f"--class-names has {len(names)} names, for the labels {first} to {len(names) - 1 + first}. "
            f"Received also: {odd[:5]}."
        )
    return [known[label] for label in labels]


def _natural(label: str) -> tuple[int, int, str]:
    """Return what sorts numbers by value, before names."""
    number = label.isascii() and label.isdecimal() and len(label) < 19
    return (0, int(label), label) if number else (1, 0, label)
