"""Compare our sampler with the reference notebook's loop, and print characters per second.

    python benchmarks/sampling_speed.py [--torch [PYTHON]] [--length 1000] [--rounds 3]

Ours is `lstmega.inference.generate.sample`, end to end: prompt, decoder, Gumbel-max, text; all
temperatures are rows of one batch. The notebook's is one eager call of a stateful Keras model per
character and temperature, with the same weights. Rounds are interleaved and medians printed. The
notebook's loop is linear in the length, so it writes fewer characters and its time is scaled, as the
table says. `--torch` names the interpreter that has PyTorch, if not this one, and adds the loop that
its users write (`torch_loop.py`), one text after the other and all five as one batch. The memory limit
is the rate at which NumPy multiplies a vector with a matrix of the size of the weights, measured in
between.
"""

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from lstmega.config.model import GeneratorConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.inference.decoder import Decoder
from lstmega.inference.generate import sample, stream

VOCABULARY = Vocabulary("\n" + "".join(map(chr, range(32, 115))))  # 84 characters
TEMPERATURES = (0.2, 0.5, 0.8, 1.0, 1.2)
LARGE = GeneratorConfig(cell="lstm", units=1024, embedding=256)  # the notebook's own size
SMALL = GeneratorConfig(cell="lstm", units=256, embedding=256)
TORCH_LOOPS = {"a PyTorch loop": False, "the same, in one batch": True}  # title -> in one batch
SMALLEST = GeneratorConfig(cell="lstm", units=8, embedding=4)


class RandomRun:
    """A run with random weights: as slow as a trained one."""

    name = "random"
    held_out = ""
    lines = False
    vocabulary = VOCABULARY

    def __init__(self, options: GeneratorConfig) -> None:
        rng = np.random.default_rng(0)
        self.weights = {
            name: rng.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
            for name, shape in options.weight_shapes(len(VOCABULARY)).items()
        }
        self._decoder = Decoder(options, self.weights)

    def decoder(self, mix: object = None) -> Decoder:
        """Return the decoder."""
        return self._decoder


def notebook_loop(options: GeneratorConfig, run: RandomRun) -> Callable[[int], None]:
    """Return the notebook's way of writing `length` characters at each temperature."""
    from lstmega.nn.devices import keras, tf

    model = keras.Sequential(
        [
            keras.Input(batch_shape=(1, None)),
            keras.layers.Embedding(len(VOCABULARY), options.embedding),
            keras.layers.LSTM(options.units, return_sequences=True, stateful=True),
            keras.layers.Dense(len(VOCABULARY)),
        ]
    )
    model.set_weights(list(run.weights.values()))

    def write(length: int) -> None:
        for temperature in TEMPERATURES:
            model.layers[1].reset_states()
            model_input, text = tf.expand_dims([0], 0), []
            for _ in range(length):
                predictions = tf.squeeze(model(model_input), 0) / temperature
                predicted = tf.random.categorical(predictions, num_samples=1)[-1, 0].numpy()
                model_input = tf.expand_dims([predicted], 0)
                text.append(VOCABULARY.characters[predicted])

    write(3)
    return write


def seconds(work: Callable[[], object]) -> float:
    """Return how long `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


@contextmanager
def torch_loop(
    options: GeneratorConfig, python: str, *, batched: bool
) -> Iterator[Callable[[int], float]]:
    """Start a PyTorch process; yield a function from a length to the seconds of its five texts."""
    command = [python, str(Path(__file__).with_name("torch_loop.py"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as worker:

        def write(length: int) -> float:
            sizes = options.units, options.embedding, len(VOCABULARY), length, int(batched)
            assert worker.stdin and worker.stdout
            worker.stdin.write(" ".join(map(str, sizes)) + "\n")
            worker.stdin.flush()
            return float(worker.stdout.readline())

        yield write


def five_temperatures(options: GeneratorConfig, arguments: argparse.Namespace) -> None:
    """Print ours against the notebook's loop, and PyTorch's, at five temperatures."""
    run = RandomRun(options)
    notebook = notebook_loop(options, run)
    length, short = arguments.length, min(arguments.length, arguments.notebook_length)
    contestants: dict[str, Callable[[int], float]] = {
        "lstmega": lambda seed: seconds(
            lambda: sample(run, temperatures=TEMPERATURES, length=length, prompt="", seed=seed)
        ),
        "the notebook's loop": lambda _: seconds(lambda: notebook(short)) * length / short,
    }
    with ExitStack() as workers:
        for title, batched in TORCH_LOOPS.items() if arguments.torch else ():
            write = workers.enter_context(torch_loop(options, arguments.torch, batched=batched))
            contestants[title] = lambda _, write=write: write(length)
        medians = median_seconds(contestants, arguments.rounds)
    print(f"\n{len(TEMPERATURES)} temperatures x {length:,} characters, {describe(options)}")
    print("| | seconds | characters/s | lstmega is |\n| --- | --- | --- | --- |")
    for title, value in medians.items():
        speed, ratio = len(TEMPERATURES) * length / value, value / medians["lstmega"]
        print(f"| {title} | {value:.2f} | {speed:,.0f} | {ratio:.1f}x |")
    print(f"(the notebook's loop wrote {short:,} characters of each, scaled)")
    print(f"share of the memory limit: {memory_seconds(run) * length / medians['lstmega']:.0%}")


def median_seconds(contestants: dict[str, Callable[[int], float]], rounds: int) -> dict[str, float]:
    """Return each contestant's median seconds; a contestant is called with the number of the round."""
    times: dict[str, list[float]] = {title: [] for title in contestants}
    for number in range(rounds):
        for title, work in contestants.items():
            times[title].append(work(number))
            time.sleep(0.3)
    return {title: statistics.median(values) for title, values in times.items()}


def memory_seconds(run: RandomRun) -> float:
    """Return the seconds in which this machine reads, once, all weights that a step reads."""
    size = run.weights["lstm_1/recurrent_kernel"].size + run.weights["logits/kernel"].size
    matrix, vector = np.ones((max(1, size // 1024), 1024), np.float32), np.ones(1024, np.float32)
    return min(seconds(lambda: matrix @ vector) for _ in range(30))


def one_row(options: GeneratorConfig, arguments: argparse.Namespace) -> None:
    """Print the speed of one streamed text."""
    run, length = RandomRun(options), 4 * arguments.length
    rounds = [
        seconds(lambda seed=number: "".join(stream(run, length=length, prompt="", seed=seed)))
        for number in range(max(arguments.rounds, 3))
    ]
    step = statistics.median(rounds) / length
    share = memory_seconds(run) / step
    print(
        f"one row, streamed, {describe(options)}: {1 / step:,.0f} characters/s, {share:.0%} of the limit"
    )


def describe(options: GeneratorConfig) -> str:
    """Return a model's size in words."""
    sizes = f"embedding {options.embedding}, {options.cell.upper()} {options.units}"
    return f"{sizes}, vocabulary {len(VOCABULARY)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--length", type=int, default=1000, help="characters per temperature")
    parser.add_argument("--notebook-length", type=int, default=200, help="the same, their loop")
    parser.add_argument("--torch", nargs="?", const=sys.executable, metavar="PYTHON")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    small, large = SMALL, LARGE
    if given.check:
        small = large = SMALLEST
        given.length, given.rounds, given.torch = 3, 1, sys.executable if find_spec("torch") else None
    one_row(small, given)
    one_row(large, given)
    five_temperatures(large, given)


if __name__ == "__main__":
    main()
