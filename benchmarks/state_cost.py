"""Measure the cost of saving the exact state: its share of the seconds of a whole training.

    python -m benchmarks.state_cost [--corpus pydoc] [--minutes 2] [--presets small,notebook]

Trains each preset for some minutes as a user would, with the default saving, and clocks every save,
capture of the arrays included.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import lstmega
from lstmega.training import trainer as training

SMALLEST = {"steps": 2, "units": 8, "batch_size": 1, "sequence_length": 8}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a row for each preset."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="pydoc")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--presets", default="small,notebook")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    options = parser.parse_args(arguments)
    corpus, presets, limits = options.corpus, options.presets.split(","), {"minutes": options.minutes}
    if options.check:
        corpus, presets, limits = __file__, ["tiny"], SMALLEST
    print("| preset | parameters | saves | seconds each | training, s | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for preset in presets:
        with tempfile.TemporaryDirectory() as directory, timed_saves() as times:
            run = lstmega.train(corpus, preset=preset, checkpoints=directory, progress=False, **limits)
        total, record = sum(times), run.record
        print(
            f"| {preset} | {record.parameters:,} | {len(times)} | {total / len(times):.3f} "
            f"| {record.seconds:.0f} | {total / record.seconds:.2%} |"
        )


@contextmanager
def timed_saves() -> Iterator[list[float]]:
    """Collect the seconds of each save of a state."""
    save, times = training._Loop._save, []

    def timed(loop: training._Loop) -> None:
        begun = time.perf_counter()
        save(loop)
        times.append(time.perf_counter() - begun)

    training._Loop._save = timed
    try:
        yield times
    finally:
        training._Loop._save = save


if __name__ == "__main__":
    main()
