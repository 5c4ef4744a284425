import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data.bucketing import ExampleBatches, Examples, split_examples

lengths = st.lists(st.integers(1, 30), min_size=1, max_size=40)


def examples_of(sizes, features=None):
    shape = () if features is None else (features,)
    return Examples.of(
        [np.full((size, *shape), number + 1) for number, size in enumerate(sizes)],
        list(range(len(sizes))),
        most=20,
    )


@given(lengths, st.integers(1, 9), st.sampled_from([None, 0, 1]), st.integers(0, 2))
def test_an_epoch_reads_each_example_once_padded_with_zeros(sizes, rows, seed, epoch):
    examples = examples_of(sizes)
    bucketed = ExampleBatches(examples, np.arange(len(sizes)), rows, seed)
    batches = list(bucketed.epoch(epoch))
    assert len(batches) == bucketed.batches
    seen = []
    for batch in batches:
        assert batch.inputs.shape[0] == bucketed.rows
        for row, length, label, place in zip(
            batch.inputs, batch.lengths, batch.labels, batch.places, strict=True
        ):
            assert length == min(20, sizes[place])
            assert (row[:length] == place + 1).all()
            assert (row[length:] == 0).all()
            if label >= 0:
                assert label == place
                seen.append(place)
    assert sorted(seen) == list(range(len(sizes)))


def test_epochs_differ_and_go_on_from_any_batch():
    bucketed = ExampleBatches(examples_of(list(range(1, 20)) * 3), np.arange(57), 5, seed=0)
    first = [batch.places.tolist() for batch in bucketed.epoch(0)]
    assert [batch.places.tolist() for batch in bucketed.epoch(1)] != first
    assert [batch.places.tolist() for batch in bucketed.epoch(0, first=4)] == first[4:]


def test_vectors_keep_their_features():
    batch = examples_of([2, 3], features=4).batch(np.array([1, 0]), 5)
    assert batch.inputs.shape == (2, 5, 4)
    assert batch.inputs[0, :3].tolist() == [[2.0] * 4] * 3
    assert not batch.inputs[1, 2:].any()


pairs = st.lists(st.tuples(st.sampled_from("abcde"), st.sampled_from("xy")), min_size=1, max_size=30)


@given(pairs, st.floats(0, 0.9), st.integers(0, 4))
def test_a_distinct_split_has_no_repeats_and_no_text_on_both_sides(given_pairs, validation, seed):
    keys, labels = zip(*given_pairs, strict=True)
    training, held_out = (
        [given_pairs[place] for place in part.tolist()]
        for part in split_examples(keys, labels, validation, seed, distinct=True)
    )
    assert sorted(training + held_out) == sorted(set(given_pairs))
    assert not {key for key, _ in training} & {key for key, _ in held_out}
    assert len({key for key, _ in held_out}) == int(len(set(keys)) * validation)


@given(pairs, st.floats(0, 0.9), st.integers(0, 4))
def test_a_random_split_has_every_example_on_one_side(given_pairs, validation, seed):
    keys, labels = zip(*given_pairs, strict=True)
    training, held_out = split_examples(keys, labels, validation, seed, distinct=False)
    assert sorted([*training.tolist(), *held_out.tolist()]) == list(range(len(keys)))
    assert len(held_out) == int(len(keys) * validation)
    again = split_examples(keys, labels, validation, seed, distinct=False)
    assert (again[1] == held_out).all()


@pytest.mark.parametrize("distinct", [True, False])
def test_seeds_draw_otherwise(distinct):
    keys = list(range(100))
    first, other = (
        split_examples(keys, keys, 0.5, seed, distinct=distinct)[1].tolist() for seed in (0, 1)
    )
    assert first != other
