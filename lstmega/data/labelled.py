"""Labelled sequences for classifiers: a directory of classes, CSV and TSV, arrays, MNIST's own files.

A mistake in the data is an error that names the file and the row; only blank lines are skipped.
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

from lstmega.data import arrays, encodings, memory
from lstmega.data.arrays import Vectors, Where, spoken
from lstmega.data.corpus import Source
from lstmega.data.sources import safe_name, shown
from lstmega.errors import CorpusError, reason_of

Kind = Literal["text", "vectors"]
Example = tuple[Where, str, Any]  # place, label, sequence
_LONGEST = 1_000_000  # characters of a field: a longer row is a mistake, such as a lost quote
_NEEDED = 5  # bytes of memory for each byte of a table, at least
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
        kind: Whether the sequences are texts or arrays `[time, features]`.
        sequences: One for each example, `[examples]`.
        labels: The class of each example, `[examples]`.
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
        """The distinct labels, sorted; numbers by their value, before names."""
        return tuple(sorted(set(self.labels), key=_sort_key))

    @cached_property
    def sha256(self) -> str:
        """The hash of labels and sequences, as 64 hexadecimal digits; paths do not matter."""
        digest = hashlib.sha256(self.kind.encode())
        for label, sequence in zip(self.labels, self.sequences, strict=True):
            name, content = (
                one.encode("utf-8", "surrogatepass")
                if isinstance(one, str)
                else np.asarray(one).tobytes()
                for one in (label, sequence)
            )
            shape = np.shape(sequence)  # empty for a text
            head = struct.pack(f"<QQ{len(shape)}Q", len(name), len(content), *shape)
            digest.update(head + name + content)
        return digest.hexdigest()


def read(
    data: str | Path | Sequence[str | Path],
    *,
    label: str | None = None,
    text: str | Sequence[str] = (),
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
        label, text, header, class_names, encoding, labels: As for `classify.train`.

    Raises:
        CorpusError: Something cannot be read; the message has the file and the row.
    """
    paths = [Path(data)] if isinstance(data, str | Path) else [Path(one) for one in data]
    if not paths:
        raise CorpusError(f"--data needs a path. Received: none. Accepted: {_ACCEPTED}.")
    if labels is not None and len(paths) > 1:
        raise CorpusError(f"--labels belongs to one file of images. Received: {len(paths)} paths.")
    codec = None if encoding is None else encodings.codec_of(encoding)
    columns = ["1" if label is None else label, *([text] if isinstance(text, str) else text)]
    reader = _Reader(codec, columns, header, None if labels is None else Path(labels))
    for path in paths:
        reader.add(path)
    return reader.labelled(paths[0].resolve().stem, None if class_names is None else Path(class_names))


class _Reader:
    """Reads files, and collects their examples, sources and notes.

    Args:
        codec: The encoding of text files; None as in `read`.
        columns: The columns of a table, by number or name: the label, then the texts.
        header: Whether the first row of a table has names.
        labels_file: MNIST's file of labels.
    """

    def __init__(
        self, codec: str | None, columns: Sequence[str], header: bool, labels_file: Path | None
    ) -> None:
        self._codec, self._columns, self._header = codec, columns, header
        self._labels_file = labels_file
        self._examples: list[Example] = []
        self._sources: list[Source] = []
        self._notes: list[str] = []
        self._kinds: dict[Kind, Path] = {}

    def add(self, path: Path) -> None:
        with _reading(path):
            directory = stat.S_ISDIR(path.stat().st_mode)
        suffix = path.suffix.lower()
        if self._labels_file is not None:
            found = self._images(path)
        elif directory:
            found = self._directory(path)
        elif suffix in {".csv", ".tsv"}:
            found = self._table(path, "\t" if suffix == ".tsv" else ",")
        elif suffix == ".npz":
            found = arrays.archive(self._content(path), path)
        elif "images-idx3" in path.name:
            found = self._images(path)
        else:
            _bytes(path)  # a file that cannot be read is the better reason
            raise CorpusError(f"Not labelled data. Received: {str(path)!r}. Accepted: {_ACCEPTED}.")
        before = len(self._examples)
        for where, label, sequence in found:
            _check_label(label, where)
            self._examples.append((where, label, sequence))
        if len(self._examples) == before:
            raise CorpusError(f"{spoken(path)} holds no example. Accepted: {_ACCEPTED}.")
        self._kinds.setdefault("text" if isinstance(self._examples[-1][2], str) else "vectors", path)

    def labelled(self, name: str, class_names: Path | None) -> Labelled:
        """Return the examples, their labels replaced by the names in a file where one is given."""
        names = None if class_names is None else self._class_names(class_names)
        if len(self._kinds) > 1:
            raise CorpusError(f"Texts and vectors do not mix. Received: {[*self._kinds.values()]}.")
        [kind] = self._kinds
        where, labels, sequences = zip(*self._examples, strict=True)
        widths = {one.shape[1] for one in sequences} if kind == "vectors" else {0}
        if len(widths) > 1:
            raise CorpusError(f"All vectors must be of one width. Received: {sorted(widths)}.")
        if names is not None:
            labels = _named(labels, names, where)
        if len(set(labels)) < 2:
            raise CorpusError(
                f"A classifier needs two classes at least. Received: {sorted(set(labels))} "
                f"in {spoken(Path(self._sources[0].path))}."
            )
        sources, notes = tuple(self._sources), tuple(self._notes)
        return Labelled(safe_name(name, "data"), kind, list(sequences), labels, sources, notes)

    def _content(self, path: Path, encoding: str = "bytes", raw: bytes | None = None) -> bytes:
        """Return the bytes of a file, and note it as a source."""
        raw = _bytes(path) if raw is None else raw
        digest = hashlib.sha256(raw).hexdigest()
        self._sources.append(Source(str(path.absolute()), encoding, len(raw), digest))
        return raw

    def _text(self, path: Path) -> str:
        raw = _bytes(path, needed=_NEEDED)
        found, encoding, remark = encodings.decode(raw, declared=self._codec, label=str(path))
        self._content(path, encoding, raw)
        if remark:
            self._notes.append(f"{shown(path.name)}: {remark}.")
        return found

    def _directory(self, path: Path) -> Iterator[Example]:
        with _reading(path):  # `glob` would skip a directory that cannot be listed
            visible = sorted(one for one in path.iterdir() if not one.name.startswith("."))
        images = [one for one in visible if one.name in _TRAINING]
        if images:
            yield from self._images(images[0])
            return
        files = [one for one in visible if one.suffix == ".txt"]
        if not files:
            raise CorpusError(f"No *.txt file in the directory {str(path)!r}. Accepted: {_ACCEPTED}.")
        for file in files:
            lines = [line.strip() for line in _LINE_END.split(self._text(file))]
            if not any(lines):
                raise CorpusError(f"{spoken(file)} holds no example: a class needs one line at least.")
            for number, line in enumerate(lines, 1):
                if line:
                    yield Where(file, number), file.stem, _checked_text(line, Where(file, number))

    def _table(self, path: Path, delimiter: str) -> Iterator[Example]:
        with _long_fields():
            rows = csv.reader(
                io.StringIO(self._text(path), newline=""), delimiter=delimiter, strict=True
            )
            numbered = _numbered(rows, path)
            first = next(numbered, None)
            if first is None:
                raise CorpusError(f"{spoken(path)} is empty. Accepted: rows of a label and a text.")
            width = len(first[1])
            label, *texts = (_place(column, first[1], path) for column in self._columns)
            texts = texts or [place for place in range(width) if place != label]
            if not texts:
                raise CorpusError(
                    f"{spoken(path)} needs a column of texts beside the labels. "
                    f"Received: {first[1]!r:.200}."
                )
            skips_first = self._header or not all(map(_is_number, self._columns))
            for number, row in numbered if skips_first else itertools.chain([first], numbered):
                where = Where(path, number)
                if len(row) != width:
                    raise CorpusError(
                        f"{where}: {len(row)} fields, the first row has {width}. Received: {row!r:.200}."
                    )
                name, text = row[label].strip(), " ".join(row[place].strip() for place in texts).strip()
                if not name or not text:
                    missing = "text" if name else "label"
                    raise CorpusError(f"{where}: no {missing}. Received: {row!r:.200}.")
                yield where, name, _checked_text(text, where)

    def _images(self, path: Path) -> Iterator[Example]:
        beside = self._labels_file or path.with_name(path.name.replace("images-idx3", "labels-idx1"))
        x = arrays.idx(self._content(path), path, dimensions=3)
        y = arrays.idx(self._content(beside), beside, dimensions=1)
        if len(x) != len(y):
            raise CorpusError(
                f"{spoken(beside)} must have a label for each of the {len(x):,} images of "
                f"{spoken(path)}. Received: {len(y):,}."
            )
        return arrays.pairs(x, y, path)

    def _class_names(self, path: Path) -> list[str]:
        names = [line.strip() for line in _LINE_END.split(self._text(path).rstrip())]
        known: set[str] = set()
        for number, name in enumerate(names, 1):
            if not name or name in known:
                raise CorpusError(
                    f"{Where(path, number)}: each class needs a name of its own. "
                    f"Received: {name!r:.200}."
                )
            known.add(name)
        return names


def vectors_of(path: str | Path) -> list[Vectors]:
    """Return the sequences `x [examples, time]` or `[examples, time, features]` of an `.npz` file.

    Raises:
        CorpusError: It is not an `.npz` file of this kind.
    """
    path = Path(path)
    if path.suffix.lower() != ".npz":
        raise CorpusError(
            f"This classifier reads arrays. Received: {str(path)!r}. Accepted: .npz files."
        )
    return [one for *_, one in arrays.archive(_bytes(path), path, needs_labels=False)]


def _bytes(path: Path, needed: int = 1) -> bytes:
    """Return the content of a file, if there are `needed` bytes of memory for each of its bytes."""
    with _reading(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise OSError(0, "not a regular file")
        memory.check(needed * status.st_size, spoken(path))
        return path.read_bytes()


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise CorpusError(
            f"Cannot read the data: {reason_of(error)}. Received: {str(path)!r}. Accepted: {_ACCEPTED}."
        ) from error


def _numbered(rows: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield rows that are not blank, each with the number of its first line."""
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


def _place(column: str, names: list[str], path: Path) -> int:
    """Return the place of a column, given by its number from 1 or by its name."""
    by_name = names.index(column) if names.count(column) == 1 else -1
    place = int(column) - 1 if _is_number(column) else by_name
    if not 0 <= place < len(names):
        many = "more than one" if names.count(column) > 1 else "no"
        raise CorpusError(f"{spoken(path)} has {many} column {column!r:.50}. Received: {names!r:.200}.")
    return place


def _checked_text(text: str, where: Where) -> str:
    if len(text) > _LONGEST:
        raise CorpusError(f"{where}: {len(text):,} characters. Accepted: at most {_LONGEST:,}.")
    return text


def _check_label(label: str, where: Where) -> None:
    """Refuse labels that cannot be written to run.json: empty ones, and lone surrogates."""
    if not label.strip() or any("\ud800" <= character <= "\udfff" for character in label):
        raise CorpusError(f"{where}: no label. Received: {label!r:.200}. Accepted: a text in Unicode.")


@contextmanager
def _long_fields() -> Iterator[None]:
    """Raise csv's limit of a field, one for the whole process, to `_LONGEST` characters for a while."""
    before = csv.field_size_limit(_LONGEST)
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _named(labels: Sequence[str], names: list[str], where: Sequence[Where]) -> tuple[str, ...]:
    first = 0 if "0" in labels else 1
    known = {str(number): name for number, name in enumerate(names, first)}
    for label, place in zip(labels, where, strict=True):
        if label not in known:
            raise CorpusError(
                f"{place}: --class-names has no name for the label {label!r:.100}. Received: "
                f"{len(names)} names. Accepted: labels from {first} to {len(names) - 1 + first}."
            )
    return tuple(known[label] for label in labels)


def _sort_key(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if _is_number(label) else (1, 0, label)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 19  # int() has a limit, too
