"""Provenance of a run's text: a description for run.json, and a way to read the same text again."""

import os
from collections.abc import Sequence
from pathlib import Path

from lstmega.config.training import TrainingConfig
from lstmega.data.bucketing import split_lines
from lstmega.data.corpus import CORPORA, Corpus, Source, read
from lstmega.data.download import OnBytes
from lstmega.errors import LstmegaError, UsageError
from lstmega.runs import directory, reading
from lstmega.runs.record import TextInfo
from lstmega.runs.run import GeneratorRun


def describe(corpus: Corpus, path: Path) -> TextInfo:
    """Return the description of a text in run.json.

    Args:
        corpus: The text.
        path: The run directory, to which the places of files are relative.
    """
    return TextInfo(
        name=corpus.name,
        sha256=corpus.sha256,
        characters=len(corpus.text),
        tokens=corpus.tokens,
        line_ends=corpus.line_ends,
        sources=source_lines(corpus.sources),
        notes=tuple(corpus.notes),
        places=tuple(_place(source.path, path) for source in corpus.sources),
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
        given: The text, or its place now; by default the place where it was.
        corpora: The directory of named corpora.
        progress: Called with the bytes done and in all, should a named corpus be downloaded.

    Raises:
        UsageError: The text no longer exists, or is another one.
    """
    info = run.record.text
    corpus = given if isinstance(given, Corpus) else _read(run, given, Path(corpora), progress)
    if corpus.sha256 != info.sha256:
        raise UsageError(
            f"{corpus.name} is not the text that {run.name} was trained on. "
            f"Received: sha256 {corpus.sha256[:12]}. Accepted: {info.sha256[:12]}, by --corpus."
        )
    return parts(corpus, run.record.training)[0]


def _read(
    run: GeneratorRun, sources: Sequence[str | Path], corpora: Path, progress: OnBytes | None
) -> Corpus:
    info = run.record.text
    with reading.guarded(run.path / directory.RECORD):
        places = [_found(run.path, place) for place in info.places]
    try:
        return read(
            list(sources) or places or [info.name],
            **info.reading,
            corpora=corpora,
            progress=progress,
        )
    except LstmegaError as error:
        raise UsageError(
            f"The text that {run.name} was trained on is needed. {error} "
            "Accepted: --corpus, with the same files in the same order."
        ) from error


def _place(source: str, path: Path) -> str:
    if not Path(source).is_absolute():
        return source.partition(" (")[0]  # a name; pydoc has its version behind it
    try:
        return os.path.relpath(source, path.resolve())
    except ValueError:  # another drive
        return source


def _found(path: Path, place: str) -> str | Path:
    return (path / place).resolve() if os.sep in place else place


def _declared(encodings: set[str]) -> str | None:
    """Return the encoding to declare when the sources are read again; UTF-8 and marks need none."""
    others = {encoding for encoding in encodings if not encoding.startswith(("utf", "bytes"))}
    return others.pop() if len(others) == 1 else None
