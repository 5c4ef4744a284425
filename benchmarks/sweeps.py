"""Try options side by side on several texts, for the same time, away from the held-out tails.

    python -m benchmarks.sweeps --corpus tinyshakespeare.txt --corpus nietzsche.txt --minutes 3
        -- "--units 256" "--units 512 --batch-size 16"

Only the first 90% of a text is read; the last 10% of that is the validation text on which options are
chosen. So the numbers do not compare with those on the held-out tails, on which claims are made once,
with `benchmarks/quality.py`. Trainings run one after the other; the table has nats per character.
"""

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lstmega.cli.main import cli
from lstmega.data.corpus import read
from lstmega.runs.run import GeneratorRun

SMALLEST = "--units 8 --embedding 4 --batch-size 1 --sequence-length 8"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", action="append", help="default: pydoc")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="*", help="each the options of one training, in quotes")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    corpora, trainings, limit = (
        given.corpus or ["pydoc"],
        given.options,
        ["--minutes", f"{given.minutes:g}"],
    )
    if given.check:
        corpora, trainings, limit = [__file__], [SMALLEST], ["--steps", "2"]
    names = [Path(corpus).stem for corpus in corpora]
    print(
        f"| options | {' | '.join(names)} | steps | epochs |\n|{' --- |' * (len(names) + 3)}", flush=True
    )
    with tempfile.TemporaryDirectory() as place:
        texts = [_training_part(corpus, Path(place)) for corpus in corpora]
        for number, options in enumerate(trainings):
            more = [*limit, "--seed", str(given.seed), *options.split()]
            runs = [
                _trained(text, Path(place) / f"{number}-{text.stem}", more, here=given.check)
                for text in texts
            ]
            losses = [f"{run.record.best.nats:.4f}" if run.record.best else "-" for run in runs]
            lengths = (
                [f"{run.record.step:,}" for run in runs],
                [f"{run.record.step / run.record.epoch_steps:.1f}" for run in runs],
            )
            cells = [*losses, *(", ".join(items) for items in lengths)]
            print(f"| `{options}` | {' | '.join(cells)} |", flush=True)


def _training_part(corpus: str, place: Path) -> Path:
    path = place / f"{Path(corpus).stem}.txt"
    path.write_text(read([corpus]).split(0.1)[0], newline="")
    return path


def _trained(text: Path, run: Path, options: list[str], *, here: bool) -> GeneratorRun:
    """Train in a process of its own, or in this one (`here`)."""
    command = ["train", "--corpus", str(text), "--run", str(run), *options]
    if here:
        cli.main(command, standalone_mode=False)
        return GeneratorRun.open(run)
    done = subprocess.run([sys.executable, "-m", "lstmega", *command], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return GeneratorRun.open(run)


if __name__ == "__main__":
    main()
