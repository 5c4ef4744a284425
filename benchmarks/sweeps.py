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
from pathlib import Path

from lstmega.data.corpus import read
from lstmega.runs.run import GeneratorRun


def main() -> None:
    """Train each, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", action="append", required=True)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("options", nargs="+", help="each the options of one training, in quotes")
    given = parser.parse_args()
    names = [Path(corpus).stem for corpus in given.corpus]
    print(
        f"| options | {' | '.join(names)} | steps | epochs |\n|{' --- |' * (len(names) + 3)}", flush=True
    )
    with tempfile.TemporaryDirectory() as place:
        texts = [_training_part(corpus, Path(place)) for corpus in given.corpus]
        for number, options in enumerate(given.options):
            more = ["--minutes", f"{given.minutes:g}", "--seed", str(given.seed), *options.split()]
            runs = [_trained(text, Path(place) / f"{number}-{text.stem}", more) for text in texts]
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


def _trained(text: Path, run: Path, options: list[str]) -> GeneratorRun:
    command = [sys.executable, "-m", "lstmega", "train", "--corpus", str(text), "--run", str(run)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return GeneratorRun.open(run)


if __name__ == "__main__":
    main()
