import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data.bucketing import LineBatches, nonblank_lines, rounded, split_lines
from lstmega.errors import CorpusError

texts = st.lists(st.text("ab ", max_size=12), min_size=1, max_size=20).map("\n".join)


@given(texts, st.floats(0, 0.9), st.integers(0, 5))
def test_split_loses_nothing_but_blank_lines(text, validation, seed):
    training, held_out = split_lines(text, validation, seed)
    assert sorted(nonblank_lines(training) + nonblank_lines(held_out)) == sorted(nonblank_lines(text))
    assert not set(nonblank_lines(training)) & set(nonblank_lines(held_out))  # equal lines stay together
    assert len(set(nonblank_lines(held_out))) == int(len(set(nonblank_lines(text))) * validation)
    assert split_lines(text, validation, seed) == (training, held_out)
    for part in (training, held_out):
        assert part == "" or part.endswith("\n")


def test_split_draws_at_random():
    lines = [f"{number:03d}" for number in range(200)]
    held_out = nonblank_lines(split_lines("\n".join(lines), 0.5, 0)[1])
    assert held_out != lines[100:]
    assert held_out == sorted(held_out)
    assert nonblank_lines(split_lines("\n".join(lines), 0.5, 1)[1]) != held_out


@given(
    texts.filter(nonblank_lines),
    st.integers(1, 5),
    st.integers(1, 9),
    st.sampled_from([None, 0, 1]),
    st.integers(0, 2),
)
def test_an_epoch_reads_each_character_once_after_what_stands_before_it(
    text, rows, time_steps, seed, epoch
):
    text = "".join(f"{line}\n" for line in nonblank_lines(text))
    lines = LineBatches.of(text, rows, time_steps, seed)
    plan = lines.plan(epoch)
    assert len(plan.starts) == lines.batches
    found = []
    for starts, carries, time, firsts, ends in zip(*plan.arrays(), strict=True):
        assert (firsts == 0).all()
        assert 0 < ends.max() <= time <= time_steps
        for start, carry, end in zip(starts, carries, ends, strict=True):
            found += range(start + 1, start + end + 1)
            # A row begins behind a line end, or goes on.
            assert end == 0 or carry or ("\n" + text)[start] == "\n"
    assert sorted(found) == list(range(1, len(text) + 1))
    assert lines.characters * lines.batches == pytest.approx(len(text))


@given(texts.filter(nonblank_lines), st.integers(1, 5), st.integers(1, 4))
def test_a_long_line_goes_on_where_it_stopped(text, rows, time_steps):
    text = "".join(f"{line}\n" for line in nonblank_lines(text))
    plan = LineBatches.of(text, rows, time_steps, seed=0).plan(0)
    for (start, next_start), carries, ends in zip(
        itertools.pairwise(plan.starts), plan.carries[1:], plan.ends[1:], strict=True
    ):
        goes_on = (carries == 1) & (ends > 0)
        assert (next_start[goes_on] == start[goes_on] + time_steps).all()


def test_lines_of_one_length_meet_and_epochs_differ():
    lengths = np.random.default_rng(0).integers(1, 60, size=500)
    text = "".join("x" * length + "\n" for length in lengths)
    lines = LineBatches.of(text, 10, 64, seed=0)
    first, second = lines.plan(0), lines.plan(1)
    assert (first.times - first.ends.min(axis=1) <= 16).all()
    assert first.starts.tolist() != second.starts.tolist()
    assert lines.plan(0).starts.tolist() == first.starts.tolist()
    assert len(set(first.times.tolist())) <= 8  # shapes that are traced


def test_few_lines_make_a_small_batch():
    lines = LineBatches.of("tenha um bom dia\neu sei\noi\n", 32, 64, seed=0)
    assert (lines.rows, lines.batches, lines.characters) == (3, 1, 27)


def test_rounded():
    assert rounded(np.array([1, 4, 5, 16, 17, 33, 1000])).tolist() == [4, 4, 8, 16, 24, 48, 1024]


def test_nothing_to_read():
    with pytest.raises(CorpusError, match="not blank"):
        LineBatches.of("", 2, 2)
