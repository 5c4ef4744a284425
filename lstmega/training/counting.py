"""`--cell ngram`: a run that counts its text and trains no network; NumPy alone."""

import time
from contextlib import suppress
from typing import Any

from lstmega.config import presets
from lstmega.display import formatting
from lstmega.display.progress import Progress
from lstmega.evaluation import baselines, scoring
from lstmega.inference import generate, ngram
from lstmega.inference.mixture import NGRAM
from lstmega.runs import report
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.record import MOST_LEARNT, Baseline, Mixture
from lstmega.runs.run import GeneratorRun, reader_of


def train(job: GeneratorJob, progress: Progress) -> GeneratorRun:
    """Count the text, measure the n-gram model on the held-out part, and return the finished run.

    Args:
        job: A job of `--cell ngram`; the caller has locked its directory.
        progress: Displays the outcome.

    Raises:
        UsageError: The run exists.
    """
    for line in job.announce("CPU"):
        progress.note(line)
    run = job.open_run()
    if job.run is not None:  # it was killed
        job.rewind(run, 0)
    try:
        _count(job, run)
    except BaseException:
        with suppress(OSError):  # the first error is the one to report
            run.update(status="failed")
        raise
    progress.note(report.farewell(run))
    return run


def _count(job: GeneratorJob, run: GeneratorRun) -> None:
    model, held_out = job.ngram, job.held_out_ids(everything=True)
    sha256, nats, row = run.write_ngram(ngram.pack(model)), None, None
    if held_out is not None:
        reader = reader_of(model, job.training, job.vocabulary)
        nats = float(scoring.stream(reader, held_out).mean())
        row = baselines.ngram_row(model.order, nats)
    mixture = Mixture(
        network=None,
        ngram=nats,
        nats=nats,
        charge=0.0,
        sha256=sha256,
        order=model.order,
        exponents=NGRAM,
    )
    run.update(
        mixture=mixture,
        baselines=tuple(one for one in baselines_of(job, row) if one != row),  # which the run is
        status="finished",
        total_steps=0,
        seconds=round(time.monotonic() - job.started, 3),
    )
    how: dict[str, Any] = {
        "temperatures": presets.PREVIEW_TEMPERATURES,
        "length": presets.PREVIEW_LENGTH,
        "seed": job.training.seed,
    }
    samples = str(generate.sample(run, **how))
    loss = "" if nats is None else f"=== counted: {formatting.loss(nats, job.unit)}\n"
    run.write_logs([], loss + samples)
    run.write_card(report.card(run))


def baselines_of(job: GeneratorJob, counted: Baseline | None) -> tuple[Baseline, ...]:
    """Return the simple models of a job's split, and published results for it.

    Args:
        job: The job.
        counted: Its n-gram model, where that was measured.
    """
    training, held_out = job.training_text(MOST_LEARNT), job.held_out
    measured = baselines.measure(training, held_out, tokens=job.data.tokens, counted=counted)
    return (*measured, *baselines.published(job.data.sha256, len(held_out)))
