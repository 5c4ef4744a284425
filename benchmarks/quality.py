"""Compare the held-out loss over training time: lstmega, the reference notebook, nanoGPT.

    python -m benchmarks.quality --corpus tinyshakespeare.txt --minutes 3 --seeds 0,1,2
        [--nanogpt CHECKOUT --torch PYTHON] [--notebook] [--out DIR] [-- OPTIONS OF lstmega train]

All train on the same text, one after the other, and never see its last 10%. What they cost there is
measured afterwards, for all of them on the whole tail: *stream* carries the state through it, *window*
reads pieces of 64 characters, each from nothing (nanoGPT's habit, and the only way for a model without a
state). Ours is measured at each of its validations. Seconds are what a user waits: from the start of the
process.

The notebook's recipe is `benchmarks/notebook_recipe.py`, stock Keras. nanoGPT's is the command that its
readme gives for a CPU, run in a copy of the checkout. Written below `--out`: quality.json, quality.svg.
"""

import argparse
import json
import re
import runpy
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lstmega.config.model import GeneratorConfig
from lstmega.data.corpus import read
from lstmega.data.vocabulary import Vocabulary
from lstmega.evaluation import scoring
from lstmega.inference.decoder import Decoder
from lstmega.runs import weights
from lstmega.runs.run import GeneratorRun

HERE = Path(__file__).parent
VALIDATION = 0.1
NANOGPT = [
    "--device=cpu", "--compile=False", "--eval_iters=20", "--log_interval=1", "--block_size=64",
    "--batch_size=12", "--n_layer=4", "--n_head=4", "--n_embd=128", "--max_iters=2000",
    "--lr_decay_iters=2000", "--dropout=0.0",
]  # fmt: skip
SMALLEST = ["--steps=2", "--units=8", "--embedding=4", "--batch-size=1", "--sequence-length=8"]
Curve = list[dict[str, float | None]]  # seconds, window and stream (nats per character), oldest first


def main(arguments: Sequence[str] | None = None) -> None:
    """Train everyone, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--corpus", default="pydoc")
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of karpathy/nanoGPT")
    parser.add_argument("--torch", default=sys.executable, help="the interpreter that has PyTorch")
    parser.add_argument("--notebook", action="store_true", help="run the notebook's recipe too: hours")
    parser.add_argument("--notebook-epochs", type=int, default=20)
    parser.add_argument("--notebook-units", type=int, default=1024)
    parser.add_argument("--out", type=Path, default=Path("quality"))
    parser.add_argument("options", nargs="*", help="options of lstmega train, after --")
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    options = ["--minutes", f"{given.minutes:g}", *given.options]
    if not given.check:
        compare(given, options)
        return
    with tempfile.TemporaryDirectory() as out:
        given.corpus, given.seeds, given.out, given.nanogpt = __file__, "0", Path(out), None
        given.notebook, given.notebook_epochs, given.notebook_units = True, 1, 4
        compare(given, SMALLEST)


def compare(given: argparse.Namespace, options: Sequence[str]) -> None:
    """Train everyone, measure, print; `options` are those of `lstmega train`."""
    given.out.mkdir(parents=True, exist_ok=True)
    text = read([given.corpus])
    training, held_out = text.split(VALIDATION)
    found: dict[str, list[Curve]] = {}
    for seed in given.seeds.split(","):
        found.setdefault("lstmega", []).append(_ours(given.corpus, int(seed), options, given.out))
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place)
        (directory / "training.txt").write_text(training, newline="")
        (directory / "held_out.txt").write_text(held_out, newline="")
        if given.notebook:
            found["the notebook's recipe"] = [
                _notebook(directory, given.notebook_epochs, given.notebook_units, here=given.check)
            ]
        if given.nanogpt is not None:
            found["nanoGPT's CPU recipe"] = [_nanogpt(directory, given.nanogpt, given.torch)]
    (given.out / "quality.json").write_text(json.dumps(found, indent=1))
    (given.out / "quality.svg").write_text(_picture(found))
    _report(found)


def _ours(corpus: str, seed: int, options: Sequence[str], out: Path) -> Curve:
    """Train in a process of its own; measure the weights of each validation afterwards."""
    place = out / f"run-{seed}"
    shutil.rmtree(place, ignore_errors=True)
    command = [
        sys.executable,
        "-m",
        "lstmega",
        "train",
        "--corpus",
        corpus,
        "--run",
        str(place.resolve()),
        "--keep",
        "all",
    ]
    begun = time.time()
    subprocess.run([*command, "--seed", str(seed), *options], check=True)
    run = GeneratorRun.open(place)
    ids = run.vocabulary.encode(run.held_out)
    curve: Curve = []
    for saved in run.record.weights:
        path = run.weights_path(saved.file)
        content, seconds = path.read_bytes(), path.stat().st_mtime - begun
        arrays = weights.read(content, run.record.shapes, tied=run.record.tied, where=saved.file)
        decoder = Decoder(run.record.model, arrays)
        curve.append(_measured(decoder, ids, seconds))
    return curve


def _measured(decoder: Decoder, ids: Any, seconds: float) -> dict[str, float | None]:
    return {
        "seconds": seconds,
        "window": float(scoring.windows(decoder, ids, length=64).mean()),
        "stream": float(scoring.stream(decoder, ids).mean()),
    }


def _notebook(directory: Path, epochs: int, units: int, *, here: bool) -> Curve:
    """Run the notebook's recipe, in this process if `here`, and measure the weights of each epoch."""
    script, arguments = HERE / "notebook_recipe.py", [str(directory), str(epochs), str(units)]
    if here:
        runpy.run_path(str(script))["main"](arguments)
    else:
        subprocess.run([sys.executable, script, *arguments], check=True)
    training, held_out = ((directory / f"{name}.txt").read_text() for name in ("training", "held_out"))
    vocabulary, curve = Vocabulary.of(training + held_out), []
    for path in sorted(directory.glob("epoch-*.npz")):
        with np.load(path) as arrays:
            seconds = float(arrays["seconds"])
            known = {name: arrays[name] for name in arrays.files if name != "seconds"}
        decoder = Decoder(GeneratorConfig(units=units, embedding=256), known)
        curve.append(_measured(decoder, vocabulary.encode(held_out), seconds))
    return curve


def _nanogpt(directory: Path, checkout: Path, python: str) -> Curve:
    """Run its recipe in a copy of the checkout, and measure its last checkpoint on the whole tail."""
    copy = directory / "nanoGPT"
    shutil.copytree(checkout, copy, ignore=shutil.ignore_patterns(".git"))
    texts = [(directory / f"{name}.txt").read_text() for name in ("training", "held_out")]
    vocabulary, data = Vocabulary.of("".join(texts)), copy / "data" / "shakespeare_char"
    for name, part in zip(("train", "val"), texts, strict=True):
        vocabulary.encode(part).astype(np.uint16).tofile(data / f"{name}.bin")
    code = "import pickle, sys; pickle.dump({'vocab_size': int(sys.argv[2])}, open(sys.argv[1], 'wb'))"
    subprocess.run([python, "-c", code, data / "meta.pkl", str(len(vocabulary))], check=True)
    begun, curve = time.monotonic(), []
    command = [python, "-u", "train.py", "config/train_shakespeare_char.py", *NANOGPT]
    with subprocess.Popen(command, cwd=copy, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            if said := re.match(r"step (\d+): .*val loss ([\d.]+)", line):
                print("nanoGPT", line.strip(), file=sys.stderr)
                window = float(said[2])
                curve.append({"seconds": time.monotonic() - begun, "window": window, "stream": None})
    if process.returncode != 0:
        raise SystemExit("nanoGPT's training failed; its own message is above.")
    curve[-1]["seconds"] = time.monotonic() - begun
    done = subprocess.run(
        [python, (HERE / "nanogpt_loss.py").resolve(), copy, data / "val.bin"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    curve[-1]["window"] = float(done.stdout.split()[-1])
    return curve


def _report(found: dict[str, list[Curve]]) -> None:
    print("| | seconds | window | stream |\n| --- | --- | --- | --- |")
    for name, curves in found.items():
        last = [curve[-1] for curve in curves]
        cells = [_spread([row[key] for row in last], key) for key in ("seconds", "window", "stream")]
        print(f"| {name} | {' | '.join(cells)} |")
    for name in found.keys() - {"lstmega"}:
        for key in ("window", "stream"):
            goal = found[name][0][-1][key]
            if goal is None:
                continue
            times = [_first_below(curve, key, goal) for curve in found["lstmega"]]
            reached = [seconds for seconds in times if seconds is not None]
            total = found[name][0][-1]["seconds"] or 0.0
            if reached:
                share = total / statistics.mean(reached)
                print(
                    f"\nlstmega is below {name} ({key} {goal:.3f}) in {len(reached)} of {len(times)} "
                    f"trainings after {_spread(reached, 'seconds')} s, 1/{share:.1f} of its {total:.0f}"
                )


def _first_below(curve: Curve, key: str, goal: float) -> float | None:
    return next((row["seconds"] for row in curve if (row[key] or 99.0) < goal), None)


def _spread(values: list[float | None], key: str) -> str:
    numbers = [value for value in values if value is not None]
    if not numbers:
        return "-"
    form = "{:.0f}" if key == "seconds" else "{:.3f}"
    mean = form.format(statistics.mean(numbers))
    if len(numbers) == 1:
        return mean
    return f"{mean} ({form.format(min(numbers))} to {form.format(max(numbers))})"


def _picture(found: dict[str, list[Curve]]) -> str:
    """Return losses over time as SVG; time on a logarithmic axis."""
    colours = ("#c2410c", "#1d4ed8", "#15803d")
    points = [
        (row["seconds"] or 1.0, row["window"] or 0.0)
        for curves in found.values()
        for c in curves
        for row in c
    ]
    windows = [window for _, window in points]
    late = [window for window in windows if window < 2.6] or windows  # others are drawn at the top
    low, high = min(late), max(late)
    first, last = (np.log(edge([seconds for seconds, _ in points])) for edge in (min, max))
    parts = []
    for (name, curves), colour in zip(found.items(), colours, strict=False):
        for curve in curves:
            for key, dash in (("window", ""), ("stream", "4 3")):
                listed = " ".join(
                    f"{60 + 560 * (np.log(row['seconds']) - first) / (last - first):.1f},"
                    f"{20 + 300 * (high - min(row[key], high)) / (high - low):.1f}"
                    for row in curve
                    if row[key] is not None
                )
                style = f'fill="none" stroke="{colour}" stroke-dasharray="{dash}"'
                parts.append(f'<polyline {style} points="{listed}"/>')
        parts.append(
            f'<text x="420" y="{30 + 18 * colours.index(colour)}" fill="{colour}">{name}</text>'
        )
    for nats in np.arange(np.ceil(low * 10) / 10, high, 0.2):
        y = 20 + 300 * (high - nats) / (high - low)
        parts.append(f'<text x="50" y="{y + 4:.1f}" text-anchor="end">{nats:.1f}</text>')
    for seconds in (10, 30, 100, 300, 1000, 3000, 10000):
        if first <= np.log(seconds) <= last:
            x = 60 + 560 * (np.log(seconds) - first) / (last - first)
            parts.append(f'<text x="{x:.1f}" y="342" text-anchor="middle">{seconds} s</text>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 370" font-family="sans-serif" '
        f'font-size="13"><rect width="640" height="370" fill="#fff"/>{"".join(parts)}'
        '<text x="60" y="362">held-out nats per character: window solid, stream dashed</text></svg>'
    )


if __name__ == "__main__":
    main()
