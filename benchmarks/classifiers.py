"""Classifiers beside the reference's numbers and beside n-gram logistic regression on the same rows.

    python -m benchmarks.classifiers DATASETS names news digits

DATASETS holds names/*.txt (PyTorch's tutorial data), ag_news/train_15k.csv, test.csv and classes.txt,
and mnist/*.gz. `lstmega classify train`'s own defaults, nothing else; nothing is selected on the test
rows (no validation). Logistic regression is scikit-learn's, which has to be installed: TF-IDF of
character 1- to 5-grams for names, of words and word pairs for news; C chosen on a tenth of the training
rows.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from lstmega import classify
from lstmega.data import labelled
from lstmega.data.bucketing import split_examples
from lstmega.data.labelled import Labelled
from lstmega.evaluation.confusion_matrix import Confusion


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("datasets", type=Path)
    parser.add_argument("what", nargs="+", choices=["names", "news", "digits"])
    parser.add_argument("--seeds", type=int, default=3)
    given = parser.parse_args()
    for what in given.what:
        {"names": names, "news": news, "digits": digits}[what](given.datasets, given.seeds)


def names(datasets: Path, seeds: int) -> None:
    """18 languages, one test share of 20%: any rows, and no name on both sides."""
    data = labelled.read(datasets / "names")
    for how in ("random", "distinct"):
        rows = []
        for seed in range(seeds):
            parts = split_examples(data.sequences, data.labels, 0.2, seed, distinct=how == "distinct")
            training, test = (_part(data, places.tolist()) for places in parts)
            rows.append((*_ours(training, test, seed), *_regression(training, test, "char_wb", (1, 5))))
        _report(f"names, {how} 80/20", rows)


def news(datasets: Path, seeds: int) -> None:
    """AG News: 15,181 training rows, the full test set of 7,600."""
    place = datasets / "ag_news"
    training, test = (
        labelled.read(place / name, class_names=place / "classes.txt")
        for name in ("train_15k.csv", "test.csv")
    )
    baseline = _regression(training, test, "word", (1, 2))
    _report("news", [(*_ours(training, test, seed), *baseline) for seed in range(seeds)])


def digits(datasets: Path, seeds: int) -> None:
    """MNIST, 28 rows of 28 pixels: 60,000 to learn, 10,000 to test."""
    training, test = (
        labelled.read(datasets / "mnist" / f"{name}-images-idx3-ubyte.gz") for name in ("train", "t10k")
    )
    _report("digits", [_ours(training, test, seed) for seed in range(seeds)])


def _ours(training: Labelled, test: Labelled, seed: int) -> tuple[float, ...]:
    """Return accuracy, macro-F1 and the seconds of training."""
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as checkpoints:
        run = classify.train(
            training, checkpoints=checkpoints, validation=0.0, split="random", seed=seed, progress=False
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
    """Return accuracy and macro-F1 of logistic regression."""
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
