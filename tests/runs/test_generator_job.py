import tracemalloc

import numpy as np
import pytest

from lstmega.data import memory
from lstmega.data.corpus import Corpus, read
from lstmega.errors import CorpusError, UsageError
from lstmega.runs import generator_job as jobs

SMALL = {"batch_size": 2, "sequence_length": 8}


def test_the_held_out_tail_is_never_trained_on(text, tmp_path):
    job = jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, **SMALL)
    training, held_out = job.training_text(), job.held_out
    assert training + held_out == text
    assert len(job.training_ids()) == job.batches.length == len(training)
    assert len(job.held_out_ids()) == len(held_out)


@pytest.mark.parametrize("lines", [False, True])
def test_the_memory_that_a_text_takes(tmp_path, lines):
    """Three bytes of memory for each byte of a long text, with a copy of the ids for TensorFlow."""
    path, size = tmp_path / "a.txt", 20_000_000
    path.write_text(("x" * 999 + "\n") * (size // 1000))
    tracemalloc.start()
    try:
        job = jobs.prepare(read([path]), checkpoints=tmp_path, lines=lines, **SMALL)
        ids = job.training_ids()
        assert job.held_out_ids() is None or job.held_out_ids().dtype == np.uint8
        assert ids.copy().dtype == np.uint8
        assert tracemalloc.get_traced_memory()[1] < (5.5 if lines else 3.3) * size + (30 << 20)
    finally:
        tracemalloc.stop()


def test_a_text_for_more_than_the_memory(text, tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text(text)
    monkeypatch.setattr(memory, "available", lambda: 2 * len(text))
    with pytest.raises(CorpusError, match=r"The text of a\.txt would need .* Received: .* are free"):
        read([path])
    monkeypatch.setattr(memory, "available", lambda: len(text))
    with pytest.raises(CorpusError, match="The training on text would need"):
        jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, **SMALL)


def test_vocabulary_knows_the_held_out_tail(tmp_path):
    job = jobs.prepare(Corpus.from_text("ab" * 50 + "z"), checkpoints=tmp_path, **SMALL)
    assert job.vocabulary.characters == "abz"


def test_nothing_held_out(text, tmp_path):
    job = jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, validation=0, **SMALL)
    assert job.held_out_ids() is None
    assert job.training_text() == text


def test_max_vocabulary_folds_the_rest(text, tmp_path):
    job = jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, max_vocabulary=5, **SMALL)
    assert len(job.vocabulary) == 5
    assert np.unique(job.training_ids()).tolist() == [0, 1, 2, 3, 4]


def test_validation_reads_a_bounded_part_of_a_long_tail(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "VALIDATED", 7)
    job = jobs.prepare(Corpus.from_text("abc" * 100), checkpoints=tmp_path, **SMALL)
    assert len(job.held_out_ids()) == 7
    assert len(job.held_out_ids(everything=True)) == 30


def test_too_short_is_said_before_anything_is_written(tmp_path):
    with pytest.raises(CorpusError, match="--batch-size"):
        jobs.prepare(Corpus.from_text("abc"), checkpoints=tmp_path)
    assert not list(tmp_path.iterdir())


def test_names_and_paths(text, tmp_path):
    corpus = Corpus.from_text(text, name="owl")
    assert jobs.prepare(corpus, checkpoints=tmp_path, run="a", **SMALL).path == tmp_path / "a"
    assert jobs.prepare(corpus, checkpoints="x", run=tmp_path / "b", **SMALL).path == tmp_path / "b"
    assert jobs.prepare(corpus, checkpoints=tmp_path, **SMALL).path.name.startswith("owl-")
    with pytest.raises(UsageError, match="--run"):
        jobs.prepare(corpus, checkpoints=tmp_path, run="-", **SMALL)


def test_a_file_where_the_run_should_be(text, tmp_path):
    (tmp_path / "a").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, run="a", **SMALL)
    assert (tmp_path / "a").read_text() == "mine"


def test_announcement_names_device_parameters_and_layers(text, tmp_path):
    job = jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, **SMALL)
    first, second, third = job.announce("CPU, 2 threads")
    assert "CPU, 2 threads" in first
    units, width = job.model.units, job.model.embedding
    assert f"lstm_1 {4 * units * (units + width + 1):,}" in first
    assert f"{len(text):,}" in second
    assert str(tmp_path) in third


def test_without_a_preset_a_run_that_goes_on_keeps_its_options(text, tmp_path):
    corpus = Corpus.from_text(text)
    begun = jobs.prepare(corpus, checkpoints=tmp_path, preset="tiny", run="a", units=7, seed=5, **SMALL)
    begun.open_run()
    again = jobs.prepare(corpus, checkpoints=tmp_path, run="a")
    assert (again.preset, again.model, again.training) == ("tiny", begun.model, begun.training)
    longer = jobs.prepare(corpus, checkpoints=tmp_path, run="a", minutes=60)
    assert longer.model == begun.model and longer.training.minutes == 60 and longer.extended


def test_with_a_preset_it_must_be_the_same(text, tmp_path):
    corpus = Corpus.from_text(text)
    jobs.prepare(corpus, checkpoints=tmp_path, preset="tiny", run="a", units=7, **SMALL).open_run()
    with pytest.raises(UsageError, match="--units 7, not 128"):
        jobs.prepare(corpus, checkpoints=tmp_path, preset="tiny", run="a", **SMALL)


def test_minutes_pick_the_options(text, tmp_path):
    short, long = (
        jobs.prepare(Corpus.from_text(text), checkpoints=tmp_path, minutes=minutes, **SMALL)
        for minutes in (0.5, 60)
    )
    assert short.preset == long.preset == "fitted"
    assert short.model.units < long.model.units


def test_lines_of_a_text_without_a_last_end(tmp_path):
    job = jobs.prepare(
        Corpus.from_text("one line"), checkpoints=tmp_path, lines=True, steps=1, preset="tiny"
    )
    assert (job.training_text(), job.held_out) == ("one line\n", "")
    assert "\n" in job.vocabulary
    assert job.training_ids().tolist()[0] == job.vocabulary.encode("\n")[0]
    assert job.batches.rows == 1


def test_only_blank_lines(tmp_path):
    with pytest.raises(CorpusError, match="not blank"):
        jobs.prepare(Corpus.from_text(" \n\n"), checkpoints=tmp_path, lines=True, steps=1)


def test_windows_of_a_short_text_say_what_they_need(tmp_path):
    with pytest.raises(CorpusError, match=r"needs 326 characters, has 90"):
        jobs.prepare(Corpus.from_text("ab" * 50), checkpoints=tmp_path, preset="windowed", steps=1)
