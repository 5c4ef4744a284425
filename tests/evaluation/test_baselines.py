import math
from collections import Counter

import numpy as np
import pytest

from lstmega.evaluation import baselines
from lstmega.runs import record
from lstmega.runs.record import Baseline

TEXT = "the owl and the pussy cat went to sea in a beautiful pea green boat they took some honey " * 9


def test_the_table():
    found = {item.name: item.bits_per_character for item in baselines.measure(TEXT, TEXT[:300])}
    assert list(found)[:2] == ["uniform", "unigram"]
    size = len(set(TEXT))
    assert found["uniform"] == pytest.approx(math.log2(size))
    counts = Counter(TEXT)
    expected = [-math.log2((counts[c] + 1) / (len(TEXT) + size)) for c in TEXT[1:300]]
    assert found["unigram"] == pytest.approx(np.mean(expected))
    [gram] = [name for name in found if "Kneser-Ney" in name]
    assert found[gram] < 0.5 < found["unigram"]  # the text repeats itself
    assert 0 < found["gzip"] < found["uniform"]


def test_compressors_have_read_the_training_text():
    noise = "".join(chr(97 + n) for n in np.random.default_rng(0).integers(26, size=3000))
    alone = {item.name: item.bits_per_character for item in baselines.measure("", noise)}
    after = {item.name: item.bits_per_character for item in baselines.measure(noise, noise)}
    assert list(alone) == ["uniform", "gzip", "bzip2", "xz"]
    assert after["xz"] < 0.2
    assert alone["xz"] > 4


@pytest.mark.parametrize("text", ["aaaaaa", "é😀\ud800\x00" * 5, "".join(map(chr, range(300, 5000)))])
def test_any_text(text):
    for training in ("", "a", text):
        for item in baselines.measure(training, text):
            assert math.isfinite(item.bits_per_character), item


@pytest.mark.parametrize("held_out", ["", "a"])
def test_nothing_to_predict(held_out):
    assert baselines.measure(TEXT, held_out) == []


def test_bytes_are_compressed_as_bytes():
    noise = bytes(np.random.default_rng(0).integers(256, size=4000, dtype=np.uint8)).decode("latin-1")
    found = {item.name: item.bits_per_character for item in baselines.measure("", noise, tokens="byte")}
    assert found["xz"] < 8.3


RULERS = [Baseline("xz", 2.5), Baseline("5-gram", 2.0), Baseline("unigram", 4.0)]


@pytest.mark.parametrize(
    ("bits", "words"),
    [
        (1.9, "better than every baseline: the next, 5-gram, needs 0.10 bits more"),
        (2.2, "between 5-gram (better) and xz (worse)"),
        (2.5, "between 5-gram (better) and xz (worse)"),
        (5.0, "worse than every baseline, even unigram: something is wrong"),
    ],
)
def test_in_words(bits, words):
    assert record.baseline_summary(bits, RULERS) == words


def test_ranked():
    names = [row[0] for row in record.baseline_table(2.2, RULERS)]
    assert names == ["", "5-gram", "this model", "xz", "unigram"]
    assert record.baseline_table(1.0, [])[1] == ["this model", "0.693", "1.000", "2.00"]


def test_published_results_belong_to_one_split():
    sha = baselines._TINY_SHAKESPEARE
    assert [item.name for item in baselines.published(sha, 111_540)] == [
        "nanoGPT's CPU recipe", "nanoGPT's GPU recipe",
    ]  # fmt: skip
    assert baselines.published(sha, 100) == baselines.published("x", 111_540) == ()


def test_no_compressor_costs_less_than_nothing():
    """bzip2 needs fewer bytes for 55 repeats of this line than for 50."""
    found = baselines.measure("the owl and the pussy-cat\n" * 50, "the owl and the pussy-cat\n" * 5)
    assert all(item.bits_per_character >= 0 for item in found)
