"""What saving the exact state costs: seconds in `states.save` over seconds of a whole training.

    python -m benchmarks.state_cost [--corpus pydoc] [--minutes 2] [--presets small,notebook]

Trains each preset for some minutes as a user would, with the default saving, and clocks every save,
capture of the arrays included.
"""

import argparse
import tempfile
import time

import lstmega
from lstmega.training import trainer as training


def main() -> None:
    """Print a row for each preset."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--corpus", default="pydoc")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--presets", default="small,notebook")
    options = parser.parse_args()
    save = training._Loop._save
    times: list[float] = []

    def timed(loop: training._Loop) -> None:
        begun = time.perf_counter()
        save(loop)
        times.append(time.perf_counter() - begun)

    training._Loop._save = timed
    print("| preset | parameters | saves | seconds each | training, s | share |")
    print("| --- | --- | --- | --- | --- | --- |")
    for preset in options.presets.split(","):
        times.clear()
        with tempfile.TemporaryDirectory() as directory:
            run = lstmega.train(
                options.corpus,
                preset=preset,
                minutes=options.minutes,
                checkpoints=directory,
                progress=False,
            )
        total, record = sum(times), run.record
        print(
            f"| {preset} | {record.parameters:,} | {len(times)} | {total / len(times):.3f} "
            f"| {record.seconds:.0f} | {total / record.seconds:.2%} |"
        )


if __name__ == "__main__":
    main()
