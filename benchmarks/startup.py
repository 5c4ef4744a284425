"""Measure the seconds from the start of `lstmega sample` to its first character, and of its parts.

    python benchmarks/startup.py [--run NAME] [--checkpoints DIR] [--rounds 7]

Each line is a fresh process, rounds interleaved, medians printed; the parts are cumulative.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

PARTS = {
    "python": "pass",
    "+ click and the command line": "import lstmega.cli.main",
    "+ numpy": "import lstmega.cli.main, numpy",
    "+ decoder, sampling, runs": "import lstmega.cli.main, lstmega.runs.run, lstmega.inference.generate",
}


def first_byte(command: list[str]) -> float:
    """Return the seconds from start to the first byte on stdout (or to the end where none comes)."""
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
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
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    options = parser.parse_args(arguments)
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
