"""Resolve the arguments of the public functions: run names to runs, paths to texts, `progress=True`."""

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from lstmega.config.base import Config, check_names, flag
from lstmega.data.corpus import CORPORA, Corpus, read
from lstmega.data.sources import accepted
from lstmega.display.progress import Progress, on
from lstmega.errors import CorpusError, UsageError
from lstmega.inference.generate import check_count
from lstmega.runs import directory, provenance, report
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.job import CHECKPOINTS, RunT, TrainingJob, path_of
from lstmega.runs.record import TextInfo
from lstmega.runs.run import GeneratorRun, Run

PathLike = str | Path


def check_options(
    function: Callable[..., Any], options: Mapping[str, Any], *configs: type[Config]
) -> None:
    """Refuse unknown keyword arguments; the message suggests the nearest known one.

    Args:
        function: The public function, whose own keyword arguments are known too.
        options: The other keyword arguments.
        configs: The option dataclasses of these.

    Raises:
        UsageError: A name is unknown.
    """
    parameters = inspect.signature(function).parameters.values()
    known = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
    known += ["count"] * ("num_samples" in known)  # its earlier name
    for config in configs:
        known += [*config.names(), *config.aliases()]
    check_names(options, known)


def samples(num_samples: int, options: Any) -> int:
    """Return the number of texts at each temperature, which `options` may have as `count`."""
    return check_count(options.pop("count", num_samples))


def resolve(kind: type[RunT], run: Run | PathLike | None, checkpoints: PathLike = CHECKPOINTS) -> RunT:
    """Return a run of a kind: the run itself, the run with a name or path, or the newest with weights.

    Raises:
        UsageError: The run does not exist, or is of another kind.
        RunError: It is damaged.
    """
    if isinstance(run, kind):
        return run
    return kind.find(Path(checkpoints), run.path if isinstance(run, Run) else run)


def display(progress: Progress | bool) -> Progress:
    """Return the display of a long work: True shows it on stderr or in the notebook."""
    if isinstance(progress, Progress):
        return progress
    return on(sys.stderr) if progress else Progress()


def trained(job: TrainingJob[RunT], progress: Progress, **how: Any) -> RunT:
    """Train a job, or resume its run, with its directory locked; `how` as for `trainer.train`."""
    if job.run is not None and job.finished:  # it may be where nothing can be written
        progress.note(report.nothing_to_do(job.run))
        return job.run
    _check_callbacks(how.get("callbacks", ()))
    if job.model.cell == "ngram":
        _check_counted(**how)
    with directory.locked(job.path):
        job = job.refresh()  # another process may have changed the run
        if job.run is not None and job.finished:
            progress.note(report.nothing_to_do(job.run))
            return job.run
        if job.model.cell == "ngram":
            from lstmega.training import counting

            return cast(RunT, counting.train(cast(GeneratorJob, job), progress))
        from lstmega.training import trainer

        return trainer.train(job, progress=progress, **how)


def _check_counted(**how: Any) -> None:
    """Refuse options about the training of a network.

    Raises:
        UsageError: An option is given beside `--cell ngram`.
    """
    for name, default in {
        "device": "auto",
        "threads": None,
        "save_every": None,
        "callbacks": (),
    }.items():
        if how.get(name, default) != default:
            raise UsageError(f"--cell ngram trains nothing. Received: {flag(name)}.")


def _check_callbacks(callbacks: Sequence[Any]) -> None:
    """Refuse a callback that would fail when the training has begun.

    Raises:
        UsageError: Keras' TensorBoard needs a package that is not installed.
    """
    kinds = {kind.__name__ for one in callbacks for kind in type(one).__mro__}
    if "TensorBoard" in kinds and importlib.util.find_spec("tensorboard") is None:
        raise UsageError(
            "The callback TensorBoard needs the package tensorboard. Received: no package of that name. "
            "Accepted: pip install tensorboard, or callbacks without it."
        )


def corpus(
    text: Corpus | PathLike | Sequence[PathLike],
    reading: Mapping[str, Any],
    corpora: PathLike,
    progress: Progress,
) -> Corpus:
    """Return a corpus: itself, or read by `data.corpus.read` with the keyword arguments `reading`.

    Raises:
        UsageError: A `Corpus` is given together with `reading`.
        CorpusError: The text cannot be read.
    """
    if not isinstance(text, Corpus):
        sources = [text] if isinstance(text, str | Path) else text
        return read(sources, corpora=Path(corpora), progress=progress.download, **reading)
    if reading:
        raise UsageError(f"A Corpus has been read already. Received also: {', '.join(reading)}.")
    return text


def other_text(
    run: GeneratorRun, text: Corpus | PathLike | None, encoding: str | None, progress: Progress
) -> Corpus | None:
    """Return another text, read as the run's own text; None stays None. Errors as for `corpus`."""
    if text is None:
        return None
    if text == "":
        raise CorpusError(f"--text needs a text. Received: ''. Accepted: {accepted()}.")
    reading = {} if isinstance(text, Corpus) else dict(run.record.text.reading)
    given = {name: value for name, value in (reading | {"encoding": encoding}).items() if value}
    return corpus(text, given, CORPORA, progress)


def reading_of(run: PathLike, checkpoints: PathLike) -> dict[str, Any]:
    """Return the options with which the text of a run to resume was read; none where it is a new run."""
    path = path_of(run, Path(checkpoints))
    info = directory.read_record(path).info if directory.exists(path) else None
    if not isinstance(info, TextInfo):
        return {}
    return {name: value for name, value in info.reading.items() if value}


def training_text(run: GeneratorRun, text: Corpus | PathLike | Sequence[PathLike] | None) -> str:
    """Return the training text of a run, read from `text` or from the place where it was.

    Raises:
        UsageError: The text is missing there, or another one is there.
    """
    sources = [text] if isinstance(text, str | Path) else text
    return provenance.training_text(run, sources or ())
