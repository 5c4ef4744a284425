"""Did the change pay? The old windowed recipe, the notebook's, and ours, for the same minutes.

    python -m benchmarks.before_after --corpus nietzsche.txt --minutes 5

All three read the text in lower case, as the old recipe does, with the last 10% held out. Losses are of
the whole held-out tail: the windowed model reads the last 40 characters anew for each, as it was trained
to; the others carry their state.
"""

import argparse
import tempfile

import lstmega
from lstmega.display.formatting import columns, one_line

RECIPES = {
    "before: windowed": {"preset": "windowed"},
    "after: notebook": {"preset": "notebook"},
    "lstmega --minutes": {},
}


def main() -> None:
    """Train each, print a table and the samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = [["recipe", "parameters", "characters read", "epochs", "seconds", "nats", "bits/char"]]
    written = []
    with tempfile.TemporaryDirectory() as checkpoints:
        for name, options in RECIPES.items():
            run = lstmega.train(
                given.corpus,
                checkpoints=checkpoints,
                minutes=given.minutes,
                seed=given.seed,
                lower=True,
                progress=False,
                **options,
            )
            record, found = run.record, lstmega.evaluate(run)
            training = record.training
            windowed = training.order == "windows"
            seen = record.step * training.batch_size * (1 if windowed else training.sequence_length)
            rows.append(
                [
                    name,
                    f"{record.parameters:,}",
                    f"{seen:,}",
                    f"{record.step / record.epoch_steps:.1f}",
                    f"{record.seconds:.0f}",
                    f"{found.nats_per_character:.3f}",
                    f"{found.bits_per_character:.3f}",
                ]
            )
            print(f"{name}: {found.bits_per_character:.3f} bits", flush=True)
            samples = lstmega.sample(
                run, temperatures=[0.2, 0.5, 1.0], length=150, prompt="the truth ", seed=1
            )
            written += [(f"{one.temperature:g}", name, one_line(one.text, 150)) for one in samples]
    print(columns(rows))
    for temperature, name, text in sorted(written, key=lambda item: float(item[0])):
        print(f"\n{temperature}  {name}\n     {text}")


if __name__ == "__main__":
    main()
