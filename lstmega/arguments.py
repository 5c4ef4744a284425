"""What the verbs are given: a run or its name, a text or its file, progress or none."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from lstmega.data.corpus import CORPORA, Corpus, read
from lstmega.display.progress import Progress, on
from lstmega.errors import UsageError
from lstmega.runs import classifier_report as classifier_reports
from lstmega.runs import directory as directories
from lstmega.runs import generator_job as jobs
from lstmega.runs import provenance as origins
from lstmega.runs import report as reports
from lstmega.runs import run as runs
from lstmega.runs.classifier_job import ClassifierJob
from lstmega.runs.classifier_run import ClassifierRun
from lstmega.runs.directory import RunDirectory
from lstmega.runs.generator_job import Job
from lstmega.runs.run import Run

Where = str | Path


def run(given: Run | Where | None, checkpoints: Where = jobs.CHECKPOINTS) -> Run:
    """Return a run, the one of that name or path, or the newest that has weights.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged.
    """
    return given if isinstance(given, Run) else runs.find(Path(checkpoints), given)


def any_run(given: Where | None, checkpoints: Path) -> RunDirectory:
    """Return the run of that name or path, or the newest, of whatever kind.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged.
    """
    newest = next(iter(directories.directories(checkpoints)), None) if given is None else None
    if given is None and newest is None:
        return Run.find(checkpoints)  # which says what to do
    path = newest or directories.located(checkpoints, given or "")
    kinds = {"generator": Run, "classifier": ClassifierRun}
    return next(kind.open(path) for name, kind in kinds.items() if directories.is_kind(path, name))


def report(run: RunDirectory) -> str:
    """Return what a person wants to read of a run."""
    if isinstance(run, ClassifierRun):
        return classifier_reports.report(run)
    return reports.report(cast(Run, run))


def listener(progress: Progress | bool) -> Progress:
    """Return what hears how far a long work is: True shows it on stderr or in the notebook."""
    if isinstance(progress, Progress):
        return progress
    return on(sys.stderr) if progress else Progress()


def trained(
    job: Job | ClassifierJob, renewed: Callable[[Any], Any], *, progress: Progress, **how: Any
) -> Any:
    """Train a job, or go on with its run; return the finished run.

    Args:
        job: What to train.
        renewed: Returns the job as its directory is now: another process may have changed it.
        progress: Hears what happens.
        how: As for `training.train`.
    """
    with directories.locked(job.path):
        job = renewed(job)
        if job.run is not None and job.finished:
            progress.note(reports.nothing_to_do(job.run))
            return job.run
        from lstmega.training import classifier as classifier_learner
        from lstmega.training import learner as learners
        from lstmega.training import trainer as training

        learner: Any = learners.TextLearner
        if isinstance(job, ClassifierJob):
            learner = classifier_learner.ClassifierLearner
        return training.train(job, learner=learner, progress=progress, **how)


def corpus(
    given: Corpus | Where | Sequence[Where], how: dict[str, Any], corpora: Where, hears: Progress
) -> Corpus:
    """Return a corpus: itself, or read as `how` says.

    Raises:
        UsageError: It has been read, and `how` says something.
        CorpusError: It cannot be read.
    """
    if not isinstance(given, Corpus):
        sources = [given] if isinstance(given, str | Path) else given
        return read(sources, corpora=Path(corpora), progress=hears.download, **how)
    if how:
        raise UsageError(f"A Corpus has been read already. Received also: {', '.join(how)}.")
    return given


def foreign(
    reader: Run, text: Corpus | Where | None, encoding: str | None, hears: Progress
) -> Corpus | None:
    """Return a text, read as the run's own was; None stays.

    Raises:
        UsageError, CorpusError: As for `corpus`.
    """
    if text is None:
        return None
    info = reader.record.text
    how = {"encoding": encoding, "tokens": info.tokens, "keep_line_ends": info.line_ends == "kept"}
    how["lower"] = info.lower
    said = {"encoding": encoding} if isinstance(text, Corpus) else how
    return corpus(text, {name: value for name, value in said.items() if value}, CORPORA, hears)


def training_text(author: Run, given: Corpus | Where | Sequence[Where] | None) -> str:
    """Return the text that a run was trained on; None looks where it was.

    Raises:
        UsageError: It is not there, or another one is.
    """
    sources = [given] if isinstance(given, str | Path) else given or ()
    return origins.training_text(author, sources)
