"""Classifiers beside the reference's numbers and beside n-gram logistic regression on the same rows.

    python -m benchmarks.classifiers DATASETS names news digits warm

DATASETS holds names/*.txt (PyTorch's tutorial data), ag_news/train_15k.csv, test.csv and classes.txt,
and mnist/*.gz. `lstmega classify train`'s own defaults, nothing else; nothing is selected on the test
rows (no validation). Logistic regression is scikit-learn's, and is left out where that is not installed:
TF-IDF of character 1- to 5-grams for names, of words and word pairs for news; C chosen on a tenth of the
training rows. `warm` compares names from scratch with a warm start from a generator that was trained on
all training names, with few and with all of the labels.
"""

import argparse
import gzip
import string
import struct
import tempfile
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np

import lstmega
from lstmega import classify
from lstmega.data import labelled
from lstmega.data.bucketing import split_examples
from lstmega.data.labelled import Labelled
from lstmega.evaluation.confusion_matrix import Confusion

Options = Mapping[str, object]
SMALLEST: Options = {"steps": 1, "units": 4, "embedding": 4, "batch_size": 1, "bidirectional": False}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path, nargs="?")
    parser.add_argument("what", nargs="*", help="of names, news, digits and warm; default: all")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--check", action="store_true", help="run once at the smallest size")
    given = parser.parse_args(arguments)
    measured = {"names": names, "news": news, "digits": digits, "warm": warm}
    if given.check:
        with tempfile.TemporaryDirectory() as place:
            make_datasets(Path(place))
            for measure in measured.values():
                measure(Path(place), 1, SMALLEST)
        return
    if given.datasets is None or not set(given.what) <= set(measured):
        parser.error("give DATASETS, then any of: names, news, digits, warm")
    for what in given.what or measured:
        measured[what](given.datasets, given.seeds, {})


def make_datasets(place: Path) -> None:
    """Write a few random examples in the three formats."""
    rng = np.random.default_rng(0)
    letters = rng.choice(list(string.ascii_lowercase), (2, 40, 6))  # [classes, rows, characters]
    texts = [["".join(row) for row in rows] for rows in letters]
    for name in ("names", "ag_news", "mnist"):
        (place / name).mkdir()
    for number, rows in enumerate(texts, 1):
        (place / "names" / f"language_{number}.txt").write_text("\n".join(rows))
    table = "".join(
        f'"{number}","{row}","{row} {row}"\n' for number in (1, 2) for row in texts[number - 1]
    )
    (place / "ag_news" / "classes.txt").write_text("World\nSports\n")
    for name in ("train_15k.csv", "test.csv"):
        (place / "ag_news" / name).write_text(table)
    for name in ("train", "t10k"):
        images = struct.pack(">4i", 2051, 20, 28, 28) + rng.bytes(20 * 28 * 28)
        (place / "mnist" / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images))
        labels = struct.pack(">2i", 2049, 20) + bytes(number % 10 for number in range(20))
        (place / "mnist" / f"{name}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels))


def names(datasets: Path, seeds: int, options: Options) -> None:
    """18 languages, one test share of 20%: any rows, and no name on both sides."""
    data = labelled.read(datasets / "names")
    for how in ("random", "distinct"):
        rows = []
        for seed in range(seeds):
            parts = split_examples(data.sequences, data.labels, 0.2, seed, distinct=how == "distinct")
            training, test = (_part(data, places.tolist()) for places in parts)
            rows.append(
                (*_ours(training, test, seed, options), *_regression(training, test, "char_wb", (1, 5)))
            )
        _report(f"names, {how} 80/20", rows)


def news(datasets: Path, seeds: int, options: Options) -> None:
    """AG News: 15,181 training rows, the full test set of 7,600."""
    place = datasets / "ag_news"
    training, test = (
        labelled.read(place / name, class_names=place / "classes.txt")
        for name in ("train_15k.csv", "test.csv")
    )
    baseline = _regression(training, test, "word", (1, 2))
    _report("news", [(*_ours(training, test, seed, options), *baseline) for seed in range(seeds)])


def digits(datasets: Path, seeds: int, options: Options) -> None:
    """MNIST, 28 rows of 28 pixels: 60,000 to learn, 10,000 to test."""
    training, test = (
        labelled.read(datasets / "mnist" / f"{name}-images-idx3-ubyte.gz") for name in ("train", "t10k")
    )
    _report("digits", [_ours(training, test, seed, options) for seed in range(seeds)])


def warm(datasets: Path, seeds: int, options: Options) -> None:
    """Names with a tenth and with all of the labels, from scratch and from a generator of names."""
    data = labelled.read(datasets / "names")
    generator = {"steps": 2000, "units": 128, "embedding": 32} | options
    generator.pop("bidirectional", None)
    rows: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for seed in range(seeds):
        parts = split_examples(data.sequences, data.labels, 0.2, seed, distinct=True)
        training, test = (_part(data, places.tolist()) for places in parts)
        some = _part(training, range(seed, len(training.labels), 10))
        with tempfile.TemporaryDirectory() as checkpoints:
            text = lstmega.Corpus.from_text("\n".join(training.sequences), name="names")
            how = {"preset": "tiny", "lines": True, "seed": seed, "checkpoints": checkpoints}
            run = lstmega.train(text, progress=False, **how | generator)
            for labels, rows_read in (("a tenth", some), ("all", training)):
                for start, initial in (("scratch", None), ("generator", run)):
                    print(f"{labels} of the labels, from {start}:", end=" ")
                    found = _ours(rows_read, test, seed, {"init_from": initial} | dict(options))
                    rows.setdefault((labels, start), []).append(found)
    for (labels, start), found in rows.items():
        _report(f"names, distinct, {labels} of the labels, from {start}", found)


def _ours(training: Labelled, test: Labelled, seed: int, options: Options) -> tuple[float, ...]:
    """Return accuracy, macro-F1 and the seconds of training."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as checkpoints:
        run = classify.train(
            training,
            checkpoints=checkpoints,
            validation=0.0,
            split="random",
            seed=seed,
            progress=False,
            **options,
        )
        seconds = time.monotonic() - begun
        found = classify.evaluate(run, test)
    print(
        f"seed {seed}: {found.accuracy:.2%}, macro-F1 {found.macro_f1:.3f}, {seconds:.0f} s", flush=True
    )
    return found.accuracy, found.macro_f1, seconds


def _regression(
    training: Labelled, test: Labelled, analyzer: str, grams: tuple[int, int]
) -> tuple[float, ...]:
    """Return accuracy and macro-F1 of logistic regression; nothing without scikit-learn."""
    if find_spec("sklearn") is None:
        print("logistic regression skipped: scikit-learn is not installed")
        return ()
    fold = np.random.default_rng(0).permutation(len(training.labels))
    last = len(fold) // 10
    chosen, best = 1.0, -1.0
    for strength in (1.0, 10.0, 100.0):
        inner = (_part(training, fold[last:].tolist()), _part(training, fold[:last].tolist()))
        score = _fitted(*inner, analyzer, grams, strength).accuracy
        chosen, best = (strength, score) if score > best else (chosen, best)
    found = _fitted(training, test, analyzer, grams, chosen)
    return found.accuracy, found.macro_f1


def _fitted(
    training: Labelled, test: Labelled, analyzer: str, grams: tuple[int, int], strength: float
) -> Confusion:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    features = TfidfVectorizer(analyzer=analyzer, ngram_range=grams, sublinear_tf=True)
    model = LogisticRegression(C=strength, max_iter=1000)
    model.fit(features.fit_transform(training.sequences), training.labels)
    number = {name: place for place, name in enumerate(training.classes)}
    taken = model.predict(features.transform(test.sequences))
    true, predicted = (np.array([number[name] for name in labels]) for labels in (test.labels, taken))
    return Confusion.of(training.classes, true, predicted)


def _part(data: Labelled, places: list[int]) -> Labelled:
    sequences = [data.sequences[place] for place in places]
    return Labelled(data.name, data.kind, sequences, tuple(data.labels[place] for place in places))


def _report(title: str, rows: list[tuple[float, ...]]) -> None:
    mean = np.mean(rows, axis=0)
    print(f"{title}: ours {mean[0]:.2%}, macro-F1 {mean[1]:.3f}, {mean[2]:.0f} s", end="")
    print(f"; regression {mean[3]:.2%}, macro-F1 {mean[4]:.3f}" if len(mean) > 3 else "", flush=True)


if __name__ == "__main__":
    main()
