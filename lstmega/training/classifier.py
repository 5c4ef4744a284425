"""A classifier that learns: its network, its steps, what it says of held-out examples."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lstmega.display import formatting as display
from lstmega.display.history import HistoryRow
from lstmega.inference.classifier import Classifier
from lstmega.nn import classifier as classifier_model
from lstmega.nn import generator as model
from lstmega.nn.devices import keras, tf
from lstmega.runs import classifier_report
from lstmega.runs.classifier_run import ClassifierRun, log_probabilities
from lstmega.training.learner import Learner, Measured
from lstmega.training.schedule import Schedule
from lstmega.training.step import ClassifierStep

MEASURED = 20_000  # held-out examples read at each validation, at most
_SHOWN = 4  # held-out examples of a preview


class ClassifierLearner(Learner):
    """A classifier and its examples."""

    def _built(self) -> keras.Model:
        job = self._job
        return classifier_model.build(
            job.model,
            job.inputs,
            len(job.data.classes),
            tokens=job.lexicon is not None,
            seed=job.training.seed,
        )

    def _begin(self) -> None:
        job = self._job
        self._step = ClassifierStep(
            self.network,
            job.model,
            self.optimizer,
            self._device,
            seed=job.training.seed,
            compiled=self.compiled,
            unknown=None if job.lexicon is None else job.lexicon.unknown_id,
            class_weights=job.class_weights(),
            examples=job.step_units,
        )
        self._held_out = job.split[1][:MEASURED]
        self.measured = len(self._held_out)

    def _steps_of_time(self) -> float:
        return float(self._job.batches.steps)

    def learn(self, batch: Any) -> float:
        """Take a step on (inputs, lengths, labels), and return its loss in nats per example."""
        return float(self._step(*batch))

    def batches(self, schedule: Schedule, first: int) -> Iterator[Any]:
        """Yield the batches of all steps from `first` on."""
        step = first
        while step < schedule.total_steps:
            epoch, done = schedule.position(step)
            for batch in self._job.batches.epoch(epoch, done):
                if step == schedule.total_steps:
                    return
                yield tuple(map(tf.constant, (batch.inputs, batch.lengths, batch.labels)))
                step += 1

    def measure(self) -> Measured | None:
        """Return nats per held-out example, and the share that is right."""
        if not self.measured:
            return None
        logs, labels = self._told(self._held_out), self._job.examples.labels[self._held_out]
        nats = -logs[np.arange(len(labels)), labels]
        return Measured(float(nats.mean()), float((logs.argmax(axis=1) == labels).mean()))

    def _told(self, places: Any) -> Any:
        classifier = Classifier(self._job.model, model.weights(self.network))
        return log_probabilities(classifier, self._job.examples, places)

    def preview(self, name: str, row: HistoryRow) -> tuple[str, list[tuple[str, str]]]:
        """Tell the classes of a few held-out examples; of others, where nothing is held out."""
        job, random = self._job, np.random.default_rng([self._job.training.seed, row.step])
        pool = self._held_out if self.measured else job.split[0]
        places = random.choice(pool, min(_SHOWN, len(pool)), replace=False)
        shown = [
            (job.data.labels[place], _said(job, place, logs))
            for place, logs in zip(places.tolist(), self._told(places), strict=True)
        ]
        loss = row.train_nats if row.validation_nats is None else row.validation_nats
        lines = "\n".join(f"{label}: {display.one_line(text, 200)}" for label, text in shown)
        return (
            f"=== epoch {row.epoch}, step {row.step:,}: {display.loss(loss, 'example')}\n{lines}\n\n",
            shown,
        )

    def finish(self, run: ClassifierRun) -> None:
        """Say of a trained run how good it is."""
        run.update(status="finished")
        run.write_card(classifier_report.card(run))

    def adopt(self, initial: ClassifierRun) -> None:
        """Take another run's best weights: classifiers begin anew."""
        raise NotImplementedError


def _said(job: Any, place: int, logs: Any) -> str:
    """Return an example and the class that it is taken for."""
    sequence, best = job.data.sequences[place], int(logs.argmax())
    what = display.one_line(sequence, 60) if isinstance(sequence, str) else f"example {place:,}"
    mark = "=" if job.data.classes[best] == job.data.labels[place] else "≠"
    return f"{mark} {job.data.classes[best]} {np.exp(logs[best]):.0%}  {what}"
