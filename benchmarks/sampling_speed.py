"""Compare our sampler with the reference notebook's loop, and print characters per second.

    python benchmarks/sampling_speed.py [--length 1000] [--notebook-length 200] [--rounds 3]

Ours is `lstmega.sampling.sample`, end to end: prompt, decoder, Gumbel-max, text; all temperatures
are rows of one batch. The notebook's is one eager call of a stateful Keras model per character and
temperature, with the same weights. Rounds are interleaved and medians printed. The notebook's loop
is linear in the length, so it writes fewer characters and its time is scaled, as the table says.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from lstmega.decoder import Decoder
from lstmega.options import ModelOptions
from lstmega.sampling import sample, stream
from lstmega.vocabulary import Vocabulary

VOCABULARY = Vocabulary("\n" + "".join(map(chr, range(32, 115))))  # 84 characters
TEMPERATURES = (0.2, 0.5, 0.8, 1.0, 1.2)
LARGE = ModelOptions(cell="lstm", units=1024, embedding=256)  # the notebook's own size
SMALL = ModelOptions(cell="lstm", units=256, embedding=256)


class RandomRun:
    """A run with random weights: as slow as a trained one."""

    name = "random"
    held_out = ""
    vocabulary = VOCABULARY

    def __init__(self, options: ModelOptions) -> None:
        rng = np.random.default_rng(0)
        self.weights = {
            name: rng.normal(0, 1 / np.sqrt(shape[0]), shape).astype(np.float32)
            for name, shape in options.weight_shapes(len(VOCABULARY)).items()
        }
        self._decoder = Decoder(options, self.weights)

    def decoder(self) -> Decoder:
        """Return the decoder."""
        return self._decoder


def notebook_loop(options: ModelOptions, run: RandomRun) -> Callable[[int], None]:
    """Return the notebook's way of writing `length` characters at each temperature."""
    from lstmega.devices import keras, tf

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


def five_temperatures(options: ModelOptions, arguments: argparse.Namespace) -> None:
    """Print ours against the notebook's loop at five temperatures."""
    run = RandomRun(options)
    notebook = notebook_loop(options, run)
    length, short = arguments.length, min(arguments.length, arguments.notebook_length)
    ours, theirs = [], []
    for number in range(arguments.rounds):
        ours.append(
            seconds(
                lambda seed=number: sample(
                    run, temperatures=TEMPERATURES, length=length, prompt="", seed=seed
                )
            )
        )
        theirs.append(seconds(lambda: notebook(short)) * length / short)
    mine, their = statistics.median(ours), statistics.median(theirs)
    print(f"\n{len(TEMPERATURES)} temperatures x {length:,} characters, {describe(options)}")
    print(f"{'':32}{'seconds':>10}{'characters/s':>15}")
    for title, value in (("lstmega", mine), ("the notebook's loop", their)):
        print(f"{title:32}{value:10.2f}{len(TEMPERATURES) * length / value:15,.0f}")
    print(f"ratio: {their / mine:.1f}x (the notebook's loop wrote {short:,} characters, scaled)")


def one_row(options: ModelOptions, arguments: argparse.Namespace) -> None:
    """Print the speed of one streamed text."""
    run, length = RandomRun(options), 4 * arguments.length
    rounds = [
        seconds(lambda seed=number: "".join(stream(run, length=length, prompt="", seed=seed)))
        for number in range(max(arguments.rounds, 3))
    ]
    speed = length / statistics.median(rounds)
    print(f"one row, streamed, {describe(options)}: {speed:,.0f} characters/s")


def describe(options: ModelOptions) -> str:
    """Return a model's size in words."""
    sizes = f"embedding {options.embedding}, {options.cell.upper()} {options.units}"
    return f"{sizes}, vocabulary {len(VOCABULARY)}"


def main() -> None:
    """Run both comparisons."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--length", type=int, default=1000, help="characters per temperature")
    parser.add_argument("--notebook-length", type=int, default=200, help="the same, their loop")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds")
    arguments = parser.parse_args()
    one_row(SMALL, arguments)
    one_row(LARGE, arguments)
    five_temperatures(LARGE, arguments)


if __name__ == "__main__":
    main()
