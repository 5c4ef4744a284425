"""Compare our training step with stock Keras' `fit` and with PyTorch, in characters per second.

    python benchmarks/training_speed.py [--torch [PYTHON]] [--sizes notebook,small,...] [--rows 64,32]

Every contestant is a process of its own that sets itself up once (embedding, recurrent layers, dense
head, softmax cross-entropy, Adam; random characters, vocabulary 84) and then takes turns: rounds are
interleaved, medians are printed. Ours is what `lstmega train` runs, input pipeline included; Keras' is
`fit` on a `tf.data` pipeline; PyTorch's is the usual loop. `--torch` names the interpreter that has it,
if not this one. Also printed: the arithmetic of a stock step over the time, as a share of the rate of a
large float32 product measured in between (the machine's limit), the memory that training took beyond
the imports at its peak, and the seconds that a contestant's first step took beyond an ordinary one.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

VOCABULARY = 84
PAUSE = 0.3  # seconds between turns, for the threads of the one before to go to sleep
TURN = 1.5  # seconds of work in a turn, about


@dataclass(frozen=True)
class Size:
    """What one step computes."""

    cell: str
    units: int
    layers: int
    embedding: int
    rows: int
    time_steps: int

    @property
    def characters(self) -> int:
        """Characters of a step."""
        return self.rows * self.time_steps

    @property
    def operations(self) -> float:
        """Floating-point operations of a step as everyone else computes it: forward and twice back."""
        gates = {"lstm": 4, "gru": 3}[self.cell] * self.units
        inputs = [self.embedding, *[self.units] * (self.layers - 1)]
        multiplications = sum((width + self.units) * gates for width in inputs)
        return 6.0 * self.characters * (multiplications + self.units * VOCABULARY)


SIZES = {
    "notebook": Size("lstm", 1024, 1, 256, 64, 100),
    "small": Size("lstm", 512, 1, 64, 16, 64),
    "lstm-256": Size("lstm", 256, 1, 256, 64, 100),
    "lstm-2x512": Size("lstm", 512, 2, 256, 64, 100),
    "gru-512": Size("gru", 512, 1, 256, 64, 100),
}


# Contestants: each returns a function that takes a number of steps.


def ours(size: Size) -> Callable[[int], None]:
    """Set up what `lstmega train` runs."""
    from lstmega.nn import devices
    from lstmega.training.learner import GeneratorLearner
    from lstmega.training.schedule import Schedule

    job = a_job(size, steps=100_000, checkpoints="unused")
    learner = GeneratorLearner(job, devices.choose("cpu"))
    schedule = Schedule(1_000_000, job.batches.batches, 1e-3, "constant", 0)
    batches = learner.batches(schedule, 0)

    def run(steps: int) -> None:
        for _ in range(steps):
            learner.learn(next(batches))

    return run


def a_job(size: Size, **options: Any) -> Any:
    """Return a training of random characters."""
    from lstmega.data.corpus import Corpus
    from lstmega.runs import generator_job as jobs

    letters = [chr(48 + number) for number in range(VOCABULARY)]
    text = "".join(letters) + "".join(np.random.default_rng(0).choice(letters, 1_000_000))
    return jobs.prepare(
        Corpus.from_text(text),
        preset="small",
        cell=size.cell,
        units=size.units,
        layers=size.layers,
        embedding=size.embedding,
        batch_size=size.rows,
        sequence_length=size.time_steps,
        **options,
    )


def keras(size: Size) -> Callable[[int], None]:
    """Set up stock Keras."""
    from lstmega.nn.devices import keras, tf

    layer = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}[size.cell]
    model = keras.Sequential(
        [
            keras.Input((size.time_steps,), batch_size=size.rows),
            keras.layers.Embedding(VOCABULARY, size.embedding),
            *[layer(size.units, return_sequences=True) for _ in range(size.layers)],
            keras.layers.Dense(VOCABULARY),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss)
    ids = np.random.default_rng(0).integers(VOCABULARY, size=(size.rows * 8, size.time_steps + 1))
    ids = ids.astype(np.int32)
    data = tf.data.Dataset.from_tensor_slices((ids[:, :-1], ids[:, 1:]))
    data = data.batch(size.rows, drop_remainder=True).repeat().prefetch(2)
    # With autotuning the end of a `fit` waits for the tuning thread now and then, for up to a minute.
    options = tf.data.Options()
    options.autotune.enabled = False
    data = data.with_options(options)
    return lambda steps: model.fit(data, steps_per_epoch=steps, verbose=0, shuffle=False)


def torch(size: Size) -> Callable[[int], None]:
    """Set up PyTorch."""
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = torch.nn.Embedding(VOCABULARY, size.embedding)
            layer = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[size.cell]
            self.layers = layer(size.embedding, size.units, size.layers, batch_first=True)
            self.logits = torch.nn.Linear(size.units, VOCABULARY)

        def forward(self, ids):
            return self.logits(self.layers(self.embedding(ids))[0])

    model = Model()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    ids = torch.randint(0, VOCABULARY, (8, size.rows, size.time_steps + 1))

    def run(steps: int) -> None:
        for number in range(steps):
            batch = ids[number % 8]
            optimizer.zero_grad()
            logits = model(batch[:, :-1])
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            loss.backward()
            optimizer.step()
            loss.item()

    return run


CONTESTANTS = {"lstmega": ours, "Keras": keras, "PyTorch": torch}


def work(contestant: str, size: Size) -> None:
    """Be a contestant: read numbers of steps from stdin, answer each with one line of JSON."""
    if contestant == "PyTorch":
        import torch  # noqa: F401 - its memory is not the training's
    else:
        from lstmega.nn.devices import tf

        tf.constant(0)
    before = _peak_memory()
    run = CONTESTANTS[contestant](size)
    for line in sys.stdin:
        taken = seconds(lambda steps=int(line): run(steps))
        answer = {"seconds": taken, "memory": _peak_memory() - before}
        print(json.dumps(answer), flush=True)


def _peak_memory() -> float:
    """MiB of this process at its peak."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


class Contestant:
    """A process that trains when told to."""

    def __init__(self, name: str, size: Size, python: str) -> None:
        command = [python, str(Path(__file__)), "--worker", name, json.dumps(asdict(size))]
        self.name, self.turns, self.memory = name, [], 0.0
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        first = self._take(1)
        self._take(1)
        self.step = self._take(2) / 2
        self.first = first - self.step  # seconds of tracing and compilation
        self._steps = max(1, round(TURN / self.step))

    def _take(self, steps: int) -> float:
        assert self._process.stdin and self._process.stdout
        time.sleep(PAUSE)
        self._process.stdin.write(f"{steps}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self.name} stopped: run its worker by hand to see why.")
        answer = json.loads(line)
        self.memory = answer["memory"]
        return answer["seconds"]

    def turn(self) -> None:
        """Take some steps."""
        self.turns.append(self._take(self._steps) / self._steps)

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def product_rate(width: int = 2048) -> float:
    """Return the machine's limit: operations per second of a large float32 product."""
    left, right = np.ones((2, width, width), np.float32)
    return 2 * width**3 / min(seconds(lambda: left @ right) for _ in range(5))


def compare(size: Size, pythons: dict[str, str], rounds: int) -> Iterator[str]:
    """Let all contestants train, and yield the lines of a table."""
    contestants = [Contestant(name, size, python) for name, python in pythons.items()]
    limits = []
    for _ in range(rounds):
        for contestant in contestants:
            contestant.turn()
        time.sleep(PAUSE)
        limits.append(product_rate())
    limit = statistics.median(limits)
    best = statistics.median(contestants[0].turns)
    yield "| | s a step | characters/s | lstmega is | of the limit | memory, MiB | first step, s |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for contestant in contestants:
        step = statistics.median(contestant.turns)
        cells = [
            contestant.name,
            f"{step:.4f}",
            f"{size.characters / step:,.0f}",
            f"{step / best:.2f}x",
            f"{size.operations / step / limit:.0%}",
            f"{contestant.memory:,.0f}",
            f"{contestant.first:.1f}",
        ]
        yield "| " + " | ".join(cells) + " |"
        contestant.close()
    yield f"limit: {limit / 1e9:.0f} GFLOP/s; a stock step is {size.operations / 1e9:.1f} GFLOP"


def loop_share(size: Size) -> float:
    """Return the share of a training's time between two validations that is not spent in steps.

    That is the input pipeline, callbacks, progress and the check for signals.
    """
    from lstmega.training import trainer as training
    from lstmega.training.learner import GeneratorLearner

    learn, times = GeneratorLearner.learn, []

    def timed(learner: GeneratorLearner, batch: Any) -> float:
        start = time.perf_counter()
        loss = learn(learner, batch)
        times.append((start, time.perf_counter()))
        return loss

    GeneratorLearner.learn = timed
    try:
        with tempfile.TemporaryDirectory() as checkpoints:
            # One epoch at most: a validation in between would count.
            steps = 30 if size.units >= 1024 else 900_000 // size.characters
            training.train(a_job(size, steps=steps, checkpoints=checkpoints))
    finally:
        GeneratorLearner.learn = learn
    times = times[20:]
    return 1 - sum(end - start for start, end in times) / (times[-1][1] - times[0][0])


def main() -> None:
    """Compare at each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--torch", nargs="?", const=sys.executable, metavar="PYTHON")
    parser.add_argument("--sizes", default=",".join(SIZES), help="which, of: " + ", ".join(SIZES))
    parser.add_argument("--rows", default="", help="batch sizes, instead of each size's own")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    parser.add_argument("--loop", action="store_true", help="only the cost of the loop around the steps")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments.worker[0], Size(**json.loads(arguments.worker[1])))
        return
    if arguments.loop:
        for name in arguments.sizes.split(","):
            print(f"{name}: {loop_share(SIZES[name]):.2%} of the time is not in steps")
        return
    pythons = {"lstmega": sys.executable, "Keras": sys.executable}
    if arguments.torch:
        pythons["PyTorch"] = arguments.torch
    for name in arguments.sizes.split(","):
        for rows in [int(part) for part in arguments.rows.split(",") if part] or [SIZES[name].rows]:
            size = Size(**(asdict(SIZES[name]) | {"rows": rows}))
            print(f"\n{name}: {size}", flush=True)
            for line in compare(size, pythons, arguments.rounds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
