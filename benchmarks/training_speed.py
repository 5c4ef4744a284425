"""Compare our training step with stock Keras' `fit` and with PyTorch, in characters per second.

    python benchmarks/training_speed.py [--torch [PYTHON]] [--sizes notebook,small,...] [--rows 64,32]

Every contestant is a process of its own that sets itself up once (embedding, recurrent layers, dense
head, softmax cross-entropy, Adam; random characters, vocabulary 84) and then takes turns: rounds are
interleaved, medians are printed. Ours is what `lstmega train` runs, input pipeline included; Keras' is
`fit` on a `tf.data` pipeline; PyTorch's is the usual loop, in float32 and under its autocast to
bfloat16, where the processor multiplies that. `--torch` names the interpreter that has it, if not this
one. "lstmega, again" finds what XLA compiled for "lstmega", as a second training of the same shape does.

Also printed: the arithmetic of a stock step over the time, as a share of the rate of a large float32
product measured in between; the bytes of the recurrent kernels that a stock step reads over the time, as
a share of the rate at which memory is read (a kernel that stays in a cache goes beyond it); the memory
that training took beyond the imports at its peak; and the seconds that a contestant's first step took
beyond an ordinary one.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.util import find_spec
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
    def traffic(self) -> float:
        """Bytes of the recurrent kernels, which float32 reads twice at each step of time."""
        gates = {"lstm": 4, "gru": 3}[self.cell] * self.units
        return 2.0 * self.time_steps * self.layers * 4 * gates * self.units

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
    "small-32": Size("lstm", 512, 1, 64, 32, 64),
    "lstm-256-32": Size("lstm", 256, 1, 64, 32, 64),
    "lstm-256": Size("lstm", 256, 1, 256, 64, 100),
    "lstm-2x512": Size("lstm", 512, 2, 256, 64, 100),
    "gru-512": Size("gru", 512, 1, 256, 64, 100),
}
SMALLEST = Size("lstm", 4, 1, 4, 1, 4)


# Contestants: each returns a function that takes a number of steps.


def ours(size: Size, precision: str = "auto") -> Callable[[int], None]:
    """Set up what `lstmega train` runs."""
    from lstmega.nn import devices
    from lstmega.training.generator import GeneratorLearner
    from lstmega.training.schedule import Schedule

    job = a_job(size, steps=100_000, checkpoints="unused", precision=precision)
    learner = GeneratorLearner(job, devices.choose("cpu"), compiled=size != SMALLEST)
    schedule = Schedule(1_000_000, job.batches.batches, 1e-3, "constant", 0)
    batches = learner.batches(schedule, 0)

    def run(steps: int) -> None:
        for _ in range(steps):
            learner.learn(next(batches))
        devices.keep_compiled()

    return run


def a_job(size: Size, **options: Any) -> Any:
    """Return a training on random characters."""
    from lstmega.data.corpus import Corpus
    from lstmega.runs import generator_job as jobs

    letters = [chr(48 + number) for number in range(VOCABULARY)]
    drawn = np.random.default_rng(0).choice(letters, 1000 if size == SMALLEST else 1_000_000)
    text = "".join(letters) + "".join(drawn)
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


def torch(size: Size, *, autocast: bool = False) -> Callable[[int], None]:
    """Set up PyTorch, in float32 or under its autocast to bfloat16."""
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
            with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
                logits = model(batch[:, :-1])
            logits = logits.float()
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
            loss.backward()
            optimizer.step()
            loss.item()

    return run


CONTESTANTS = {
    "lstmega": ours,
    "lstmega, again": ours,
    "lstmega, float32": partial(ours, precision="float32"),
    "Keras": keras,
    "PyTorch": torch,
    "PyTorch, bfloat16": partial(torch, autocast=True),
}
Answer = Callable[[int], dict[str, float]]  # steps -> seconds, and MiB beyond the imports


def work(contestant: str, size: Size) -> None:
    """Be a contestant: read numbers of steps from stdin, answer each with one line of JSON."""
    answer = set_up(contestant, size)
    for line in sys.stdin:
        print(json.dumps(answer(int(line))), flush=True)


def set_up(contestant: str, size: Size) -> Answer:
    """Return a function that trains for a number of steps and measures them."""
    if contestant.startswith("PyTorch"):
        import torch  # noqa: F401 - its memory is not the training's
    else:
        from lstmega.nn.devices import tf

        tf.constant(0)
    before = _peak_memory()
    run = CONTESTANTS[contestant](size)

    def answer(steps: int) -> dict[str, float]:
        taken = seconds(lambda: run(steps))
        return {"seconds": taken, "memory": _peak_memory() - before}

    return answer


def _peak_memory() -> float:
    """MiB of this process at its peak (Linux; elsewhere not a number)."""
    # Not `ru_maxrss`: that begins with the memory of the process that started this one.
    status = Path("/proc/self/status")
    line = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text() if status.exists() else "", re.MULTILINE)
    return int(line[1]) / 1024 if line else float("nan")


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def worker(name: str, size: Size, python: str, cache: str = "") -> Iterator[Answer]:
    """Start a contestant as a process of its own, with a directory for what XLA compiles."""
    command = [python, str(Path(__file__)), "--worker", name, json.dumps(asdict(size))]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"LSTMEGA_CACHE": cache},
    ) as process:

        def answer(steps: int) -> dict[str, float]:
            assert process.stdin and process.stdout
            process.stdin.write(f"{steps}\n")
            process.stdin.flush()
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"{name} stopped: run its worker by hand to see why.")
            return json.loads(line)

        yield answer


class Contestant:
    """A training that takes turns with others.

    Args:
        name: The name in the table.
        answer: Trains for a number of steps and measures them.
        turn: Seconds of work in a turn, about.
    """

    def __init__(self, name: str, answer: Answer, turn: float = TURN) -> None:
        self.name, self.turns, self.memory = name, [], 0.0
        self._answer = answer
        first = self._take(1)
        self._take(1)
        self.step = self._take(2) / 2
        self.first = first - self.step  # seconds of tracing and compilation
        self._steps = max(1, round(turn / self.step))

    def _take(self, steps: int) -> float:
        time.sleep(PAUSE)
        answer = self._answer(steps)
        self.memory = answer["memory"]
        return answer["seconds"]

    def turn(self) -> None:
        """Take some steps."""
        self.turns.append(self._take(self._steps) / self._steps)


def product_rate(width: int) -> float:
    """Return the machine's limit: operations per second of a large float32 product."""
    left, right = np.ones((2, width, width), np.float32)
    return 2 * width**3 / min(seconds(lambda: left @ right) for _ in range(5))


def reading_rate(mebibytes: int) -> float:
    """Return the bytes per second at which NumPy reads a matrix that fits no cache."""
    matrix = np.ones((mebibytes * 256, 1024), np.float32)
    vector = np.ones(1024, np.float32)
    return matrix.nbytes / min(seconds(lambda: matrix @ vector) for _ in range(5))


def compare(
    size: Size, contestants: Sequence[Contestant], rounds: int, width: int = 2048
) -> Iterator[str]:
    """Let the contestants train in turns, and yield the lines of a table.

    Args:
        size: The size of the model and of a step.
        contestants: Those to compare, ours first.
        rounds: Turns of each contestant.
        width: The width of the product that measures the limit.
    """
    limits, rates = [], []
    for _ in range(rounds):
        for contestant in contestants:
            contestant.turn()
        time.sleep(PAUSE)
        limits.append(product_rate(width))
        rates.append(reading_rate(width // 8))
    limit, rate = statistics.median(limits), statistics.median(rates)
    best = statistics.median(contestants[0].turns)
    columns = (
        "s a step",
        "characters/s",
        "lstmega is",
        "of products",
        "of reading",
        "MiB",
        "first step, s",
    )
    yield "| | " + " | ".join(columns) + " |"
    yield "| --- " * (len(columns) + 1) + "|"
    for contestant in contestants:
        step = statistics.median(contestant.turns)
        cells = [
            contestant.name,
            f"{step:.4f}",
            f"{size.characters / step:,.0f}",
            f"{step / best:.2f}x",
            f"{size.operations / step / limit:.0%}",
            f"{size.traffic / step / rate:.0%}",
            f"{contestant.memory:,.0f}",
            f"{contestant.first:.1f}",
        ]
        yield "| " + " | ".join(cells) + " |"
    yield (
        f"limit: {limit / 1e9:.0f} GFLOP/s, {rate / 1e9:.0f} GB/s; a stock step is "
        f"{size.operations / 1e9:.1f} GFLOP and reads {size.traffic / 1e9:.2f} GB of recurrent kernels"
    )


def loop_share(size: Size, steps: int) -> float:
    """Return the share of a training's time between two validations that is not spent in steps.

    That is the input pipeline, callbacks, progress and the check for signals.
    """
    from lstmega.training import trainer as training
    from lstmega.training.generator import GeneratorLearner

    learn, times = GeneratorLearner.learn, []

    def timed(learner: GeneratorLearner, batch: Any) -> float:
        start = time.perf_counter()
        loss = learn(learner, batch)
        times.append((start, time.perf_counter()))
        return loss

    GeneratorLearner.learn = timed
    try:
        with tempfile.TemporaryDirectory() as checkpoints:
            training.train(a_job(size, steps=steps, checkpoints=checkpoints))
    finally:
        GeneratorLearner.learn = learn
    times = times[20:]
    return 1 - sum(end - start for start, end in times) / (times[-1][1] - times[0][0])


def check() -> None:
    """Run every contestant once at the smallest size, ours as a process, and the measure of the loop."""
    found = find_spec("torch")
    others = [name for name in CONTESTANTS if not name.startswith("PyTorch") or found][1:]
    with worker("lstmega", SMALLEST, sys.executable) as answer:
        contestants = [Contestant("lstmega", answer, turn=0)]
        contestants += [Contestant(name, set_up(name, SMALLEST), turn=0) for name in others]
        for line in compare(SMALLEST, contestants, rounds=1, width=64):
            print(line)
    print(f"{loop_share(SMALLEST, steps=22):.2%} of the time is not in steps")


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare at each size."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--torch", nargs="?", const=sys.executable, metavar="PYTHON")
    parser.add_argument("--sizes", default=",".join(SIZES), help="which, of: " + ", ".join(SIZES))
    parser.add_argument("--rows", default="", help="batch sizes, instead of each size's own")
    parser.add_argument("--rounds", type=int, default=7, help="interleaved rounds")
    parser.add_argument("--loop", action="store_true", help="only the cost of the loop around the steps")
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    if given.worker:
        work(given.worker[0], Size(**json.loads(given.worker[1])))
        return
    if given.check:
        check()
        return
    if given.loop:
        for name in given.sizes.split(","):
            size = SIZES[name]
            # One epoch at most: a validation in between would count.
            steps = 30 if size.units >= 1024 else 900_000 // size.characters
            print(f"{name}: {loop_share(size, steps):.2%} of the time is not in steps")
        return
    from lstmega.nn.processor import multiplies_bfloat16

    theirs = [name for name in CONTESTANTS if name.startswith("PyTorch")]
    pythons = {name: sys.executable for name in CONTESTANTS if name not in theirs}
    if given.torch:
        pythons |= dict.fromkeys(theirs, given.torch)
    if not multiplies_bfloat16():  # "lstmega" multiplies float32, and PyTorch's LSTM refuses bfloat16
        pythons = {name: python for name, python in pythons.items() if "float" not in name}
    for name in given.sizes.split(","):
        for rows in [int(part) for part in given.rows.split(",") if part] or [SIZES[name].rows]:
            size = Size(**(asdict(SIZES[name]) | {"rows": rows}))
            print(f"\n{name}: {size}", flush=True)
            with ExitStack() as workers:
                cache = workers.enter_context(tempfile.TemporaryDirectory())
                contestants = [
                    Contestant(title, workers.enter_context(worker(title, size, python, cache)))
                    for title, python in pythons.items()
                ]
                for line in compare(size, contestants, given.rounds):
                    print(line, flush=True)


if __name__ == "__main__":
    main()
