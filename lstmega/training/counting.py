"""`--cell ngram`: a run that counts its text and trains no network; NumPy alone."""

import time
from typing import Any

from lstmega.data.batching import measured_part
from lstmega.display import formatting
from lstmega.display.progress import Progress
from lstmega.evaluation import baselines, scoring
from lstmega.inference import generate, ngram
from lstmega.inference.mixture import NGRAM, NGramDecoder
from lstmega.runs import report
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.record import MOST_LEARNT, Mixture
from lstmega.runs.run import GeneratorRun, beginning

TEMPERATURES = (0.5, 0.7, 0.9)  # of previews
LENGTH = 160  # characters of a preview


def decoder(job: GeneratorJob) -> NGramDecoder:
    """Return the n-gram model of a job's training part."""
    return NGramDecoder(job.ngram, begins=beginning(job.training, job.vocabulary))


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
    held_out = job.held_out_ids(everything=True)
    nats = None if held_out is None else float(scoring.stream(decoder(job), held_out).mean())
    sha256 = run.write_ngram(ngram.pack(job.ngram))
    order = job.ngram.order
    row = None if nats is None else baselines.ngram_row(order, nats)
    part = measured_part(job.held_out, lines=job.training.lines)
    known = baselines.measure(job.training_text(MOST_LEARNT), part, tokens=job.unit, counted=row)
    run.update(
        mixture=Mixture(
            sha256=sha256, order=order, exponents=NGRAM, network=None, ngram=nats, nats=nats, charge=0.0
        ),
        baselines=tuple(one for one in known if one != row),
        status="finished",
        total_steps=0,
        seconds=round(time.monotonic() - job.started, 3),
    )
    how: dict[str, Any] = {"temperatures": TEMPERATURES, "length": LENGTH, "seed": job.training.seed}
    samples = str(generate.sample(run, **how))
    run.write_logs(
        [], samples if nats is None else f"=== counted: {formatting.loss(nats, job.unit)}\n{samples}"
    )
    run.write_card(report.card(run))
    progress.note(report.farewell(run))
    return run
