"""Did the change pay? The old windowed recipe, the notebook's, and ours, for the same minutes.

    python -m benchmarks.before_after --corpus nietzsche.txt --minutes 5

All three read the text in lower case, as the old recipe does, with the last 10% held out. Losses are of
the whole held-out tail: the windowed model reads the last 40 characters anew for each, as it was trained
to; the others carry their state.
"""

import argparse
import tempfile
from collections.abc import Sequence

import lstmega
from lstmega.display.formatting import columns, one_line

RECIPES = {
    "before: windowed": {"preset": "windowed"},
    "after: notebook": {"preset": "notebook"},
    "lstmega --minutes": {},
}
SMALLEST = {"steps": 2, "units": 8, "batch_size": 1, "sequence_length": 8}


def main(arguments: Sequence[str] | None = None) -> None:
    """Train each, print a table and the samples."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default="pydoc")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    corpus, limits = given.corpus, {"minutes": given.minutes}
    if given.check:
        corpus, limits = __file__, SMALLEST
    rows = [["recipe", "parameters", "characters read", "epochs", "seconds", "nats", "bits/char"]]
    written = []
    with tempfile.TemporaryDirectory() as checkpoints:
        for name, options in RECIPES.items():
            run = lstmega.train(
                corpus,
                checkpoints=checkpoints,
                seed=given.seed,
                lower=True,
                progress=False,
                **limits,
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
