"""Measure the seconds from the start of `lstmega sample` to its first character, and of its parts.

    python benchmarks/startup.py [--run NAME] [--checkpoints DIR] [--rounds 7]
    python benchmarks/startup.py --train [--rounds 3]

Each line is a fresh process, rounds interleaved, medians printed; the parts are cumulative. With
`--train`: seconds to the first step of a training, whose steps XLA compiles, with nothing kept of
earlier ones and with their compiled steps; and the whole of `lstmega train --steps 20`.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

PARTS = {
    "python": "pass",
    "+ click and the command line": "import lstmega.cli.main",
    "+ numpy": "import lstmega.cli.main, numpy",
    "+ decoder, sampling, runs": "import lstmega.cli.main, lstmega.runs.run, lstmega.inference.generate",
}


# A callback writes a byte after the first step, and ends the training.
FIRST_STEP = """
from lstmega.nn.devices import keras
import lstmega, sys

class First(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        sys.stdout.write("1")
        sys.stdout.flush()
        self.model.stop_training = True

text, checkpoints, steps = sys.argv[1:]
options = {"steps": int(steps), "callbacks": [First()], "checkpoints": checkpoints, "mix": "none"}
lstmega.train(text, progress=False, run="first", **options)
"""


def first_byte(command: list[str], **environment: str) -> float:
    """Return the seconds from start to the first byte on stdout (or to the end where none comes)."""
    begun = time.perf_counter()
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | environment,
    ) as process:
        process.stdout.read(1)
        seconds = time.perf_counter() - begun
        process.stdout.read()
    if process.returncode != 0:
        sys.exit(f"{' '.join(command)} failed with exit code {process.returncode}")
    return seconds


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--run", help="a run; the newest by default")
    parser.add_argument("--checkpoints", default="checkpoints", help="directory of runs")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--train", action="store_true", help="the start of a training")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    options = parser.parse_args(arguments)
    if options.train or options.check:
        print_training(0 if options.check else options.rounds, check=options.check)
    if options.train:
        return
    if not options.check:
        print_table(options.checkpoints, options.run, options.rounds)
        return
    with tempfile.TemporaryDirectory() as checkpoints:
        train_smallest(checkpoints)
        print_table(checkpoints, None, rounds=0)


def train_smallest(checkpoints: str) -> None:
    """Train a run of a few units for two steps."""
    import lstmega

    smallest = {"preset": "tiny", "steps": 2, "units": 8, "batch_size": 1, "sequence_length": 8}
    lstmega.train(__file__, checkpoints=checkpoints, progress=False, **smallest)


def print_training(rounds: int, *, check: bool = False) -> None:
    """Print the median seconds to the first step of a `small` training, and of a short training.

    A check makes one first step, which is not worth compiling.
    """
    times: dict[str, list[float]] = {}
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory() as place:
            text = Path(place, "text.txt")
            text.write_text("To be, or not to be, that is the question.\n" * 5000)
            first = [sys.executable, "-c", FIRST_STEP, str(text)]
            train = [sys.executable, "-m", "lstmega", "train", "--corpus", str(text), "--steps", "20"]
            commands = {
                "import tensorflow": [sys.executable, "-c", "import tensorflow"],
                "first step, nothing kept": [*first, f"{place}/a", "2" if check else "130"],
                "first step, compiled before": [*first, f"{place}/b", "130"],
                "lstmega train --steps 20": [*train, "--checkpoints", f"{place}/c"],
            }
            for name in list(commands)[1:2] if check else commands:
                seconds = first_byte(commands[name], LSTMEGA_CACHE=str(Path(place, "cache")))
                times.setdefault(name, []).append(seconds)
    for name, seconds in times.items():
        print(f"{name:36} {statistics.median(seconds[1:] or seconds):6.3f} s")


def print_table(checkpoints: str, run: str | None, rounds: int) -> None:
    """Print the median seconds to each process's first byte, after a round that warms the disk cache."""
    commands = {name: [sys.executable, "-c", code] for name, code in PARTS.items()}
    sample = [sys.executable, "-m", "lstmega", "sample", "--temps", "0.5", "--length", "1"]
    sample += ["--checkpoints", checkpoints] + (["--run", run] if run else [])
    # An empty prompt, so that the first byte is the first written character and not the prompt's.
    commands["first character of lstmega sample"] = [*sample, "--prompt", ""]
    commands["lstmega --help"] = [sys.executable, "-m", "lstmega", "--help"]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            times[name].append(first_byte(command))
    for name, seconds in times.items():
        print(f"{name:36} {statistics.median(seconds[1:] or seconds):6.3f} s")


if __name__ == "__main__":
    main()
