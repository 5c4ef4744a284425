import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.evaluation import baselines
from lstmega.evaluation.baselines import KneserNey
from lstmega.runs import record
from lstmega.runs.record import Baseline

TEXT = "the owl and the pussy cat went to sea in a beautiful pea green boat they took some honey " * 9


def ids_of(text):
    return np.array([ord(character) - ord("a") for character in text])


class Slow:
    """Modified Kneser-Ney, written from the definition with dictionaries."""

    def __init__(self, text, size, order):
        self.size, self.text, self.order = size, text, order

    def counts(self, order):
        if order == self.order:
            return Counter(self.text[i : i + order] for i in range(len(self.text) - order + 1))
        longer = {self.text[i : i + order + 1] for i in range(len(self.text) - order)}
        return Counter(gram[1:] for gram in longer)

    def probability(self, character, context):
        """P(character | context), the context at most order - 1 long."""
        if len(context) > self.order - 1:
            context = context[len(context) - self.order + 1 :]
        lower = self.probability(character, context[1:]) if context else 1 / self.size
        counts = self.counts(len(context) + 1)
        of_count = Counter(counts.values())
        if 0 in (of_count[1], of_count[2], of_count[3]):
            discount = {1: 0.5, 2: 0.5, 3: 0.5}
        else:
            share = of_count[1] / (of_count[1] + 2 * of_count[2])
            raw = {n: n - (n + 1) * share * of_count[n + 1] / of_count[n] for n in (1, 2, 3)}
            discount = {n: min(max(value, 0.01), n) for n, value in raw.items()}
        following = {gram: count for gram, count in counts.items() if gram[:-1] == context}
        total = sum(following.values())
        if total == 0:
            return lower
        taken = sum(discount[min(count, 3)] for count in following.values())
        own = following.get(context + character, 0)
        kept = own - discount[min(own, 3)] if own else 0
        return kept / total + taken / total * lower


@given(
    training=st.text("abc", min_size=1, max_size=60),
    held_out=st.text("abcd", min_size=1, max_size=12),
    order=st.integers(1, 4),
)
def test_equals_the_definition(training, held_out, order):
    order = min(order, len(training))
    found = KneserNey(ids_of(training), 4, 4).bits(ids_of(held_out))[order - 1]
    slow = Slow(training, 4, order)
    for at, character in enumerate(held_out):
        expected = -math.log2(slow.probability(character, held_out[max(0, at - order + 1) : at]))
        assert found[at] == pytest.approx(expected, abs=1e-9)


@given(st.text("abc", min_size=1, max_size=80), st.text("abcd", max_size=6))
def test_probabilities_add_up(training, context):
    model = KneserNey(ids_of(training), 4)
    costs = [model.bits(ids_of(context + character))[:, -1] for character in "abcd"]
    np.testing.assert_allclose((2.0 ** -np.array(costs)).sum(axis=0), 1)


def test_what_comes_later_changes_nothing_before():
    model = KneserNey(ids_of(TEXT.replace(" ", "z")), 26)
    first, second = (model.bits(ids_of("theowlandthe" + end)) for end in ("pussy", "zzzzz"))
    np.testing.assert_array_equal(first[:, :12], second[:, :12])


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


def test_the_order_is_chosen_without_the_held_out_text():
    names = {
        [item.name for item in baselines.measure(TEXT, held_out)][2]
        for held_out in (TEXT[:200], "qzqzqzqzqzqzqzqz", "aaaaaaaaaaaaaaaaaa")
    }
    assert len(names) == 1


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
