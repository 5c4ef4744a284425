import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.errors import RunError
from lstmega.inference import ngram
from lstmega.inference.ngram import Counts

TEXT = "the owl and the pussy cat went to sea in a beautiful pea green boat they took some honey " * 9


def ids_of(text):
    return np.array([ord(character) - ord("a") for character in text], np.uint8)


class Slow:
    """Modified Kneser-Ney, written from the definition with dictionaries."""

    def __init__(self, text, size, order, complete=99, begins="\0"):
        self.size, self.text, self.order, self.complete, self.begins = (
            size,
            text,
            order,
            complete,
            begins,
        )

    def occurrences(self, order):
        return Counter(self.text[i : i + order] for i in range(len(self.text) - order + 1))

    def counts(self, order):
        seen = self.occurrences(order)
        if order == self.order:
            return seen
        longer = {self.text[i : i + order + 1] for i in range(len(self.text) - order)}
        distinct = Counter(gram[1:] for gram in longer)
        return {gram: seen[gram] if gram[0] == self.begins else distinct[gram] for gram in seen}

    def kept(self, gram):
        return len(gram) <= self.complete or self.occurrences(len(gram))[gram] > 1

    def probability(self, character, context):
        """P(character | context), the context at most order - 1 long."""
        if len(context) > self.order - 1:
            context = context[len(context) - self.order + 1 :]
        lower = self.probability(character, context[1:]) if context else 1 / self.size
        if not self.kept(context):
            return lower
        counts = self.counts(len(context) + 1)
        of_count = Counter(counts.values())  # zeros are no n-grams with something before them
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
        shares = {
            gram: (count - discount[min(count, 3)]) / total if count else 0
            for gram, count in following.items()
            if self.kept(gram)
        }
        return shares.get(context + character, 0) + (1 - sum(shares.values())) * lower


def after(model, ids, rows=1):
    """The distributions after each id of a text, `[characters, size]`, read in equal rows."""
    nodes, found = model.begin(rows), []
    for identity in ids:
        nodes = model.advance(np.repeat(identity, rows), nodes)
        found.append(model.probabilities(nodes))
    return np.array(found)


@given(
    training=st.text("abc", min_size=1, max_size=60),
    text=st.text("abcd", min_size=1, max_size=12),
    order=st.integers(1, 5),
    complete=st.integers(1, 5),
    begins=st.sampled_from(["a", "\0"]),
)
def test_equals_the_definition_but_for_the_rounding_of_codes(training, text, order, complete, begins):
    """Each order has a code, off by 1/32 of its logarithm; so has the sum that it is divided by."""
    order = min(order, len(training))
    counts = Counts(ids_of(training), 4, order, begins=0 if begins == "a" else None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ngram, "COMPLETE", complete)
        found = after(counts.model(), ids_of(text))[:, 0]
    slow = Slow(training, 4, order, complete, begins)
    for at in range(len(text)):
        context = text[max(0, at - order + 2) : at + 1] if order > 1 else ""
        expected = [slow.probability(character, context) for character in "abcd"]
        np.testing.assert_allclose(found[at], expected, rtol=np.expm1(order / 16))


@given(
    training=st.lists(st.integers(0, 5), min_size=1, max_size=300),
    text=st.lists(st.integers(0, 5), min_size=1, max_size=40),
)
def test_probabilities_add_up_and_rows_are_read_alike(training, text):
    model = Counts(np.array(training), 6).model()
    one, many = (after(model, text, rows) for rows in (1, 20))
    np.testing.assert_allclose(one.sum(axis=2), 1, rtol=1e-5)
    np.testing.assert_allclose(many, np.broadcast_to(one, many.shape), rtol=1e-5)
    assert (one > 0).all()


def test_long_ngrams_seen_once_are_left_out():
    counts = Counts(ids_of(TEXT.replace(" ", "z") + "xylophone"), 26)
    model = counts.model()
    assert model.order == ngram.ORDERS
    kept = [len(level.ids) for level in model.levels]
    grams = [len(order.counts) for order in counts._orders]
    assert kept[: ngram.COMPLETE] == grams[: ngram.COMPLETE]
    assert all(a < b for a, b in zip(kept[ngram.COMPLETE :], grams[ngram.COMPLETE :], strict=True))


@pytest.mark.parametrize(
    "text", [np.tile(np.random.default_rng(0).integers(0, 250, 20_000), 2), np.arange(40_000) % 5000]
)
def test_the_file_has_six_bytes_for_each_character(text):
    content = ngram.pack(Counts(text, int(text.max()) + 1).model())
    assert len(content) <= ngram.MOST_BYTES * len(text) + 2 * ngram.FREE_BYTES


@pytest.mark.parametrize("size", [2, 255, 256, 257, 70_000])
def test_is_read_as_it_was_written(size):
    ids = np.random.default_rng(1).integers(0, min(size, 300), 2000) + max(0, size - 300)
    ids = np.append(ids, size - 1)
    model = Counts(ids, size).model()
    again = ngram.unpack(ngram.pack(model), size, "x")
    for found, expected in zip(again.levels, model.levels, strict=True):
        for name, array in vars(expected).items():
            np.testing.assert_array_equal(getattr(found, name), array)
    np.testing.assert_array_equal(after(again, ids[-9:]), after(model, ids[-9:]))


def changed(name, change):
    levels = Counts(ids_of(TEXT.replace(" ", "z")), 26).model().levels
    arrays = {
        f"{n}/{key}": array for n, level in enumerate(levels) for key, array in vars(level).items()
    }
    arrays[name] = change(arrays[name].copy())
    return ngram.safetensors.numpy.save({key: one for key, one in arrays.items() if one is not None})


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("0/ids", lambda array: array + 200),
        ("0/ids", lambda array: array[::-1]),
        ("0/ids", lambda array: array * 0),
        ("1/ids", lambda array: array[::-1]),
        ("3/ids", lambda array: array[::-1]),
        ("2/children", lambda array: array[::-1]),
        ("3/ids", lambda array: array[:-1]),
        ("3/ids", lambda array: array.astype(np.int64)),
        ("3/shares", lambda array: array.astype(np.float32)),
        ("3/shares", lambda array: array[np.newaxis]),
        ("3/rests", lambda array: array[1:]),
        ("3/rests", lambda array: array * 0 + 255),
        ("3/children", lambda array: array + 1),
        ("3/children", lambda _: None),
    ],
)
def test_damaged_models_are_refused(name, change):
    with pytest.raises(RunError, match=r"^x"):
        ngram.unpack(changed(name, change), 26, "x")


def test_odd_numbers_are_a_distribution_still():
    levels = Counts(ids_of(TEXT.replace(" ", "z")), 26).model().levels
    odd = [
        ngram.Level(one.ids, one.shares * 0 + 255, one.rests * 0 + 254, one.children) for one in levels
    ]
    found = after(ngram.NGram(26, odd), ids_of("theowlandthe"))
    assert np.isfinite(found).all() and (found <= 1).all()


@pytest.mark.parametrize("content", [b"", b"x" * 100, ngram.safetensors.numpy.save({})])
def test_what_is_no_model_is_refused(content):
    with pytest.raises(RunError, match=r"^x"):
        ngram.unpack(content, 26, "x")


def test_of_a_long_text_the_end_is_counted(monkeypatch):
    monkeypatch.setattr(ngram, "MOST_COUNTED", 50)
    found = after(Counts(ids_of("b" * 500 + "a" * 50), 2).model(), ids_of("bbb"))
    assert math.isclose(float(found[-1, 0, 1]), float(found[0, 0, 1]), rel_tol=1e-6)
    assert found[-1, 0, 0] > 0.5
