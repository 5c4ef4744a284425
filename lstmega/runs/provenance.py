"""Where a run's text came from, and the same text again: a run keeps only what it held out."""

import os
from collections.abc import Sequence
from pathlib import Path

from lstmega.config.options import TrainingOptions
from lstmega.data import bucketing as lines
from lstmega.data import corpus as texts
from lstmega.data.corpus import CORPORA, Corpus
from lstmega.data.download import Progress
from lstmega.errors import LstmegaError, UsageError
from lstmega.runs.record import TextInfo
from lstmega.runs.run import Run


def describe(corpus: Corpus, path: Path) -> TextInfo:
    """Return what a run directory says of its text.

    Args:
        corpus: The text.
        path: The run directory, from which the places of files are seen.
    """
    return TextInfo(
        name=corpus.name,
        sha256=corpus.sha256,
        characters=len(corpus.text),
        tokens=corpus.tokens,
        line_ends=corpus.line_ends,
        sources=tuple(
            f"{Path(source.path).name} ({source.encoding}, {source.size:,} bytes), {source.sha256}"
            for source in corpus.sources
        ),
        notes=tuple(corpus.notes),
        places=tuple(_place(source.path, path) for source in corpus.sources),
        encoding=_declared({source.encoding for source in corpus.sources}),
        lower=corpus.lower,
    )


def parts(corpus: Corpus, training: TrainingOptions) -> tuple[str, str]:
    """Return the text to train on and the held-out one."""
    if training.lines:
        return lines.split(corpus.text, training.validation, training.seed)
    return corpus.split(training.validation)


def training_text(
    run: Run,
    given: Corpus | Sequence[str | Path] = (),
    *,
    corpora: str | Path = CORPORA,
    progress: Progress | None = None,
) -> str:
    """Return the part of a run's text that it was trained on.

    Args:
        run: The run.
        given: The text, or where it is now; nothing looks where it was.
        corpora: The directory of named corpora.
        progress: Called with the bytes done and in all, should a named corpus be downloaded.

    Raises:
        UsageError: The text is not there any more, or another one is.
    """
    info = run.record.text
    corpus = given if isinstance(given, Corpus) else _read(run, given, Path(corpora), progress)
    if corpus.sha256 != info.sha256:
        raise UsageError(
            f"{corpus.name} is not the text that {run.name} was trained on. "
            f"Received: sha256 {corpus.sha256[:12]}. Accepted: {info.sha256[:12]}, by --corpus."
        )
    return parts(corpus, run.record.training)[0]


def _read(run: Run, sources: Sequence[str | Path], corpora: Path, progress: Progress | None) -> Corpus:
    info = run.record.text
    try:
        return texts.read(
            list(sources) or [_found(run.path, place) for place in info.places] or [info.name],
            encoding=info.encoding,
            tokens=info.tokens,
            keep_line_ends=info.line_ends == "kept",
            lower=info.lower,
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
    """Return what has to be said to read the sources again; marks and UTF-8 speak for themselves."""
    others = {encoding for encoding in encodings if not encoding.startswith(("utf", "bytes"))}
    return others.pop() if len(others) == 1 else None
