"""Learner of a generator: lanes of text, carried states, the held-out loss, samples."""

from collections.abc import Iterator
from typing import Any

from lstmega.config import presets
from lstmega.data.batching import MAX_MEASURED, joined
from lstmega.data.vocabulary import NarrowIds
from lstmega.display import formatting
from lstmega.evaluation import baselines, mixing, scoring
from lstmega.inference import ngram
from lstmega.inference.mixture import NETWORK
from lstmega.nn import generator
from lstmega.nn.devices import keras, tf
from lstmega.runs.generator_job import GeneratorJob
from lstmega.runs.record import Baseline, Mixture
from lstmega.runs.run import GeneratorRun, reader_of
from lstmega.training import counting, pipeline, previews
from lstmega.training.learner import Learner, Preview, Validated
from lstmega.training.schedule import Schedule
from lstmega.training.step import CarriedState, GeneratorStep
from lstmega.training.validation import Validator

_FORECAST = 100_000  # held-out characters that the n-gram model reads before the training
_GROUP = 100  # steps: several shorter epochs are one input pipeline


class GeneratorLearner(Learner[GeneratorJob]):
    """A generator, and the recurrent states of the lanes that it reads."""

    _carried: CarriedState

    def _build(self) -> keras.Model:
        job = self.job
        return generator.build(job.model, len(job.vocabulary), seed=job.training.seed)

    def _prepare(self) -> None:
        job, batches = self.job, self.job.batches
        counted = batches.characters if batches.masked else None
        self._step = self._make_step(GeneratorStep, counted=counted)
        self._carried = CarriedState(job.model, batches.rows, self._device.strategy)
        self._ids = job.training_ids()
        held_out = job.held_out_ids()
        self.validated_units = self.final_units = 0 if held_out is None else len(held_out)
        if held_out is not None and not (job.validates_all or job.mixes):
            self.final_units = min(MAX_MEASURED, len(job.held_out))
        self._validator = None if held_out is None else self._reads(held_out, job.held_out_plan())

    def _reads(self, ids: Any, plan: Any) -> Validator:
        return Validator(self.network, self.job.model, ids, plan)

    def forecast(self, seconds: float | None) -> str:
        job, held_out = self.job, self.job.held_out_ids()
        if not job.mixes or held_out is None:
            return ""
        reader = reader_of(job.ngram, job.training, job.vocabulary)
        nats = scoring.stream(reader, held_out[:_FORECAST]).mean()
        words = f"Counting alone ({job.ngram.order}-grams): {formatting.loss(nats, job.unit)}"
        minutes = job.training.minutes
        if minutes is None or seconds is None or not job.fitted:
            return words
        speed = presets.speed(job.model, job.batches.rows, job.step_units / seconds)
        expected = presets.forecast(speed * minutes, nats, len(job.data.text))
        return f"{words}; with the network after {minutes:g} min about {expected:.2f} nats"

    def learn(self, batch: Any) -> float:
        """Take a step on (inputs, targets, carries), and return its loss in nats per character."""
        inputs, targets, carries = batch
        nats, self._carried.values = self._step(inputs, targets, carries, self._carried.values)
        return float(nats)

    def validate(self) -> Validated | None:
        """Measure the first part of the held-out text, in nats per character."""
        return Validated(self._validator().nats_per_character) if self._validator else None

    def _final_nats(self) -> float | None:
        ids, plan = self.job.held_out_ids(everything=True), self.job.held_out_plan(everything=True)
        return None if ids is None else self._reads(ids, plan)().nats_per_character

    def _final_measures(self, run: GeneratorRun) -> dict[str, Any]:
        found: dict[str, Any] = {"mixture": None}
        counted, ids = None, self.job.held_out_ids(everything=True)
        if self.job.mixes and ids is not None:
            found, counted = self._mixed(run, ids)
        return found | {"baselines": counting.baselines_of(self.job, counted)}

    def _mixed(self, run: GeneratorRun, ids: NarrowIds) -> tuple[dict[str, Any], Baseline]:
        """Mix the best weights with the n-gram model, unless the network alone is best.

        Returns:
            Fields of run.json, and the n-gram model as a baseline.
        """
        model = self.job.ngram
        exponents, losses = mixing.mixed(run.paired(model), ids)
        mixture = None
        if exponents != NETWORK:
            sha256 = run.write_ngram(ngram.pack(model))
            kept = tuple(exponents)
            mixture = Mixture(sha256=sha256, order=model.order, exponents=kept, **vars(losses))
        baseline = baselines.ngram_row(model.order, losses.ngram)
        return {"mixture": mixture, "held_out_nats": losses.network}, baseline

    def _preview(self, name: str, step: int) -> tuple[str, Preview]:
        """Sample with the current weights."""
        samples = previews.write(self.job, name, self.network, step)
        return str(samples), [(f"{sample.temperature:g}", sample.text) for sample in samples]

    def warm_start(self, initial: GeneratorRun) -> None:
        """Load another run's best weights; rows of new characters stay fresh."""
        before, now = initial.vocabulary, self.job.vocabulary
        generator.warm_start(self.network, initial.weights(), before, now)

    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        step = first
        while True:
            data = self._some_batches(*schedule.position(step))
            if self._device.replicas > 1:
                data = self._device.strategy.experimental_distribute_dataset(data)
            for batch in data:
                yield batch
                step += 1

    def _some_batches(self, epoch: int, first: int) -> tf.data.Dataset:
        """Return the rest of an epoch; several short ones: an input pipeline takes time to build."""
        batches = self.job.batches
        epochs = range(epoch, epoch + max(1, _GROUP // batches.batches))
        plan = joined([batches.plan(epoch) for epoch in epochs])
        return pipeline.dataset(self._ids, plan.after(first))
