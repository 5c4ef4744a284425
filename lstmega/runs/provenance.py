"""Provenance of a run's text: a description for run.json, and a way to read the same text again."""

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from lstmega.config.training import TrainingConfig
from lstmega.data.arrays import spoken
from lstmega.data.bucketing import split_lines
from lstmega.data.corpus import CORPORA, Corpus, Source, read
from lstmega.data.download import OnBytes
from lstmega.data.labelled import Labelled
from lstmega.errors import LstmegaError, UsageError
from lstmega.runs.record import TextInfo
from lstmega.runs.run import GeneratorRun, Run

DataT = TypeVar("DataT", Corpus, Labelled)


def describe(corpus: Corpus, path: Path) -> TextInfo:
    """Return the description of a text in run.json.

    Args:
        corpus: The text.
        path: The run directory, to which the places of files are relative.
    """
    origins = tuple(_origin(source.path) for source in corpus.sources)
    return TextInfo(
        name=corpus.name,
        sha256=corpus.sha256,
        characters=len(corpus.text),
        tokens=corpus.tokens,
        line_ends=corpus.line_ends,
        sources=source_lines(corpus.sources),
        notes=tuple(corpus.notes),
        places=tuple(_place(origin, path) for origin in origins),
        origins=origins,
        encoding=_declared({source.encoding for source in corpus.sources}),
        lower=corpus.lower,
    )


def source_lines(sources: Sequence[Source]) -> tuple[str, ...]:
    """Return name, encoding, size and sha256 of each file."""
    return tuple(
        f"{Path(source.path).name} ({source.encoding}, {source.size:,} bytes), {source.sha256}"
        for source in sources
    )


def parts(corpus: Corpus, training: TrainingConfig) -> tuple[str, str]:
    """Return the text to train on and the held-out text."""
    if training.lines:
        return split_lines(corpus.text, training.validation, training.seed)
    return corpus.split(training.validation)


def training_text(
    run: GeneratorRun,
    given: Corpus | Sequence[str | Path] = (),
    *,
    corpora: str | Path = CORPORA,
    progress: OnBytes | None = None,
) -> str:
    """Return the part of a run's text that it was trained on.

    Args:
        run: The run.
        given: The text, or its place now; by default the place where it was, or that beside the run.
        corpora: The directory of named corpora.
        progress: Called with the bytes done and in all, should a named corpus be downloaded.

    Raises:
        UsageError: The text no longer exists, or is another one.
    """
    info = run.record.text

    def reading(sources: Sequence[str | Path]) -> Corpus:
        return read(
            sources,
            **info.reading,
            corpora=Path(corpora),
            progress=progress,
        )

    if isinstance(given, Corpus):
        corpus = given
    elif given:
        corpus = reading(given)
    else:
        accepted = "--corpus, with the same files in the same order"
        corpus = read_again(run, reading, "text", accepted, [info.name])
    if corpus.sha256 != info.sha256:
        raise UsageError(
            f"{corpus.name} is not the text that {run.name} was trained on. "
            f"Received: sha256 {corpus.sha256[:12]}. Accepted: {info.sha256[:12]}, by --corpus."
        )
    return parts(corpus, run.record.training)[0]


def read_again(
    run: Run,
    reading: Callable[[Sequence[str | Path]], DataT],
    noun: str,
    accepted: str,
    default: Sequence[str] = (),
) -> DataT:
    """Read a run's data at the place where it was, or at the same place beside the run.

    Args:
        run: The run.
        reading: Reads data from paths and names.
        noun: The data's, for messages.
        accepted: What the user may give instead, for messages.
        default: The names where the run has recorded none.

    Returns:
        The data of the recorded sha256, or else the first that could be read.

    Raises:
        UsageError: There is none at either place.
    """
    info, other, failure, missing = run.record.info, None, None, []
    beside = [_found(run.path, place) for place in info.places] or default
    for sources in dict.fromkeys(map(tuple, (map(_path, info.origins), beside))):
        gone = [spoken(path) for path in sources if isinstance(path, Path) and not _exists(path)]
        missing += gone[:1]
        if gone or not sources:
            continue
        try:
            data = reading(sources)
        except LstmegaError as error:
            failure = failure or error
            continue
        if data.sha256 == info.sha256:
            return data
        other = other or data
    if other is not None:
        return other
    received = failure or f"Received: nothing at {' nor at '.join(missing) or 'any place'}."
    raise UsageError(
        f"The {noun} that {run.name} was trained on is needed. {received} Accepted: {accepted}."
    ) from failure


def _origin(source: str) -> str:
    return source if Path(source).is_absolute() else source.partition(" (")[0]  # a name, and a version


def _place(origin: str, path: Path) -> str:
    try:
        return os.path.relpath(origin, path.resolve()) if Path(origin).is_absolute() else origin
    except ValueError:  # another drive
        return origin


def _found(path: Path, place: str) -> str | Path:
    return Path(os.path.normpath(path.resolve() / place)) if os.sep in place else place


def _path(origin: str) -> str | Path:
    return Path(origin) if os.sep in origin else origin


def _exists(path: Path) -> bool:
    with suppress(OSError, ValueError):
        return path.exists()
    return False


def _declared(encodings: set[str]) -> str | None:
    """Return the encoding to declare when the sources are read again; UTF-8 and marks need none."""
    others = {encoding for encoding in encodings if not encoding.startswith(("utf", "bytes"))}
    return others.pop() if len(others) == 1 else None
