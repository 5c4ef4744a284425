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

from lstmega.data import arrays as vectors
from lstmega.data import encodings
from lstmega.data.arrays import Vectors, Where, spoken
from lstmega.data.corpus import Source
from lstmega.data.sources import shown
from lstmega.errors import CorpusError

Kind = Literal["text", "vectors"]
Example = tuple[Where, str, Any]  # its place, its label, its sequence
_LONGEST = 1_000_000  # characters of a field: a row that is longer is a mistake, such as a lost quote
_LINE_END = re.compile("\r\n|\r|\n")  # and no other: U+2028 and the like are text
_TRAINING = ("train-images-idx3-ubyte", "train-images-idx3-ubyte.gz")
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
            name = label.encode("utf-8", "surrogatepass")
            shape = np.shape(sequence)  # of a text nothing
            head = struct.pack(f"<QQ{len(shape)}Q", len(name), len(content), *shape)
            digest.update(head + name + content)
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
    labels: str | Path | None = None,
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
        labels: MNIST's file of labels, where it does not lie beside the one path of images under its
            usual name.

    Raises:
        CorpusError: Something cannot be read; the message has the file and the row.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(one) for one in data]
    if not paths:
        raise CorpusError(f"--data needs a path. Received: none. Accepted: {_ACCEPTED}.")
    if labels is not None and len(paths) > 1:
        raise CorpusError(
            f"Labels of their own belong to one file of images. Received: {len(paths)} paths."
        )
    codec = None if encoding is None else encodings.codec_of(encoding)
    columns = Columns(label, (text,) if isinstance(text, str) else tuple(text), header)
    reader = _Reader(codec, columns, None if labels is None else Path(labels))
    for path in paths:
        reader.add(path)
    names = None if class_names is None else _class_names(reader, Path(class_names))
    return reader.finished(paths[0].resolve().stem, names)


class _Reader:
    """Files -> sequences and labels."""

    def __init__(self, codec: str | None, columns: Columns, labels_file: Path | None = None) -> None:
        self._codec, self._columns, self._labels_file = codec, columns, labels_file
        self._sequences: list[Any] = []
        self._labels: list[str] = []
        self._where: list[Where] = []
        self._sources: list[Source] = []
        self._notes: list[str] = []
        self._kinds: dict[Kind, Path] = {}

    def add(self, path: Path) -> None:
        with _reading(path):
            directory = stat.S_ISDIR(path.stat().st_mode)
        if self._labels_file is not None:
            found = self._idx(path)
        elif directory:
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
        for where, label, sequence in found:
            _check_label(label, where)
            self._where.append(where)
            self._labels.append(label)
            self._sequences.append(sequence)
        if len(self._sequences) == before:
            raise CorpusError(f"{spoken(path)} holds no example. Accepted: {_ACCEPTED}.")
        self._kinds.setdefault("text" if isinstance(self._sequences[-1], str) else "vectors", path)

    def finished(self, name: str, names: list[str] | None) -> Labelled:
        if len(self._kinds) > 1:
            raise CorpusError(f"Texts and vectors do not mix. Received: {[*self._kinds.values()]}.")
        [kind] = self._kinds
        widths = {one.shape[1] for one in self._sequences} if kind == "vectors" else {0}
        if len(widths) > 1:
            raise CorpusError(f"All vectors must be of one width. Received: {sorted(widths)}.")
        labels = self._labels if names is None else _named(self._labels, names, self._where)
        if len(set(labels)) < 2:
            raise CorpusError(
                f"A classifier needs two classes at least. Received: {sorted(set(labels))} "
                f"in {spoken(Path(self._sources[0].path))}."
            )
        safe = re.sub(r"[^\w.-]+", "-", name)[:40].strip("-.") or "data"
        return Labelled(
            safe, kind, self._sequences, tuple(labels), tuple(self._sources), tuple(self._notes)
        )

    # Files.

    def content(self, path: Path) -> bytes:
        with _reading(path):
            if not stat.S_ISREG(path.stat().st_mode):
                raise OSError(0, "not a regular file")
            raw = path.read_bytes()
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
            self._notes.append(f"{shown(path.name)}: {remark}.")
        return found

    # Formats.

    def _directory(self, path: Path) -> Iterator[Example]:
        with _reading(path):  # `glob` would pass over a directory that cannot be listed
            visible = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        images = [one for one in visible if one.name in _TRAINING]
        if images:
            yield from self._idx(images[0])
            return
        files = [one for one in visible if one.suffix == ".txt"]
        if not files:
            raise CorpusError(f"No *.txt file in the directory {str(path)!r}. Accepted: {_ACCEPTED}.")
        for file in files:
            lines = [line.strip() for line in _LINE_END.split(self.text(file))]
            if not any(lines):
                raise CorpusError(f"{spoken(file)} holds no example: a class needs one line at least.")
            for number, line in enumerate(lines, 1):
                _check_length(line, Where(file, number))
                if line:
                    yield Where(file, number), file.stem, line

    def _table(self, path: Path, delimiter: str) -> Iterator[Example]:
        columns = self._columns
        with _long_fields():
            rows = csv.reader(io.StringIO(self.text(path), newline=""), delimiter=delimiter, strict=True)
            numbered = _numbered(rows, path)
            first = next(numbered, None)
            if first is None:
                raise CorpusError(f"{spoken(path)} is empty. Accepted: rows of a label and a text.")
            width = len(first[1])
            label, texts, named = _places(columns, first[1], path)
            skipped = columns.header or named
            for number, row in numbered if skipped else itertools.chain([first], numbered):
                where = Where(path, number)
                if len(row) != width:
                    raise CorpusError(
                        f"{where}: {len(row)} fields, the first row has {width}. Received: {row!r:.200}."
                    )
                yield where, *_example(row, label, texts, where=where)

    def _archive(self, path: Path) -> Iterator[Example]:
        return vectors.archive(self.content(path), path)

    def _idx(self, path: Path) -> Iterator[Example]:
        name = path.name.replace("images-idx3", "labels-idx1")
        beside = self._labels_file or path.with_name(name)
        x = vectors.idx(self.content(path), path, dimensions=3)
        y = vectors.idx(self.content(beside), beside, dimensions=1)
        if len(x) != len(y):
            raise CorpusError(
                f"{spoken(beside)} must have a label for each of the {len(x):,} images of "
                f"{spoken(path)}. Received: {len(y):,}."
            )
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
    return [one for *_, one in vectors.archive(content, Path(path), needs_labels=False)]


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CorpusError(
            f"Cannot read the data: {reason}. Received: {str(path)!r}. Accepted: {_ACCEPTED}."
        ) from error


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
            f"{Where(path, begun)}: {error}. Accepted: rows of equally many fields, quotes closed, "
            f"fields of at most {_LONGEST:,} characters."
        ) from error


def _places(columns: Columns, first: list[str], path: Path) -> tuple[int, list[int], bool]:
    """Return the places of label and texts, and whether they were named."""
    wanted = ["1" if columns.label is None else columns.label, *columns.text]
    named = any(not _is_number(one) for one in wanted)
    places = []
    for one in wanted:
        by_name = first.index(one) if first.count(one) == 1 else -1
        place = int(one) - 1 if _is_number(one) else by_name
        if not 0 <= place < len(first):
            many = "more than one" if first.count(one) > 1 else "no"
            raise CorpusError(f"{spoken(path)} has {many} column {one!r:.50}. Received: {first!r:.200}.")
        places.append(place)
    label, *texts = places
    texts = texts or [place for place in range(len(first)) if place != label]
    if not texts:
        raise CorpusError(
            f"{spoken(path)} needs a column of texts beside the labels. Received: {first!r:.200}."
        )
    return label, texts, named


def _example(row: list[str], label: int, texts: list[int], *, where: Where) -> tuple[str, str]:
    name, text = row[label].strip(), " ".join(row[place].strip() for place in texts).strip()
    if not name or not text:
        raise CorpusError(f"{where}: no {'text' if name else 'label'}. Received: {row!r:.200}.")
    _check_length(text, where)
    return name, text


def _check_length(text: str, where: Where) -> None:
    if len(text) > _LONGEST:
        raise CorpusError(f"{where}: {len(text):,} characters. Accepted: at most {_LONGEST:,}.")


def _check_label(label: str, where: Where) -> None:
    """Refuse what cannot be a name in a run: nothing, and half characters."""
    if not label.strip() or any("\ud800" <= character <= "\udfff" for character in label):
        raise CorpusError(f"{where}: no label. Received: {label!r:.200}. Accepted: a text in Unicode.")


@contextmanager
def _long_fields() -> Iterator[None]:
    """Let csv read fields of `_LONGEST` characters, for a while: its limit is one for the process."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _class_names(reader: _Reader, path: Path) -> list[str]:
    names = [line.strip() for line in _LINE_END.split(reader.text(path))]
    while names and not names[-1]:
        names.pop()
    known: set[str] = set()
    for number, name in enumerate(names or [""], 1):
        if not name or name in known:
            raise CorpusError(
                f"{Where(path, number)}: each class needs a name of its own. Received: {name!r:.200}."
            )
        known.add(name)
    return names


def _named(labels: Sequence[str], names: list[str], where: Sequence[Where]) -> list[str]:
    first = 0 if "0" in labels else 1
    known = {str(number): name for number, name in enumerate(names, first)}
    for label, place in zip(labels, where, strict=True):
        if label not in known:
            raise CorpusError(
                f"{place}: --class-names has no name for the label {label!r:.100}. Received: "
                f"{len(names)} names. Accepted: labels from {first} to {len(names) - 1 + first}."
            )
    return [known[label] for label in labels]


def _natural(label: str) -> tuple[int, int, str]:
    """Return what sorts numbers by value, before names."""
    return (0, int(label), label) if _is_number(label) else (1, 0, label)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19  # int() has a limit, too
