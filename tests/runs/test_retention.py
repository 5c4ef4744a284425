import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lstmega
from lstmega import files
from lstmega.errors import RunError, UsageError
from lstmega.runs import directory, report, retention
from lstmega.runs.record import SavedWeights
from lstmega.runs.retention import thinned
from lstmega.runs.run import Run
from tests import processes
from tests.conftest import TINY

EARLIER = Path(__file__).parents[1] / "earlier_runs" / "runs"


def weights_of(losses):
    return [
        SavedWeights(f"epoch-{n:03d}.weights.h5", "0", 10 * n, n, loss)
        for n, loss in enumerate(losses, 1)
    ]


LOSSES = st.lists(st.floats(0, 5), min_size=1, max_size=60)


@given(LOSSES, st.integers(2, 15))
def test_the_best_the_last_and_at_most_so_many(losses, most):
    every = weights_of(losses)
    kept = thinned(every, str(most), 10 * len(every))
    assert len(kept) <= most
    assert every[-1] in kept
    assert min(every, key=lambda item: item.nats) in kept
    assert list(kept) == [item for item in every if item in kept]


@given(LOSSES, st.integers(2, 15), st.data())
def test_what_was_removed_is_not_missed_later(losses, most, data):
    """Thinning now and then ends with the same files as thinning once at the end."""
    every, total = weights_of(losses), 10 * len(losses)
    left = ()
    for item in every:
        left = (*left, item)
        if data.draw(st.booleans()):
            left = thinned(left, str(most), total)
    assert thinned(left, str(most), total) == thinned(every, str(most), total)


def test_all_and_best_last():
    every = weights_of([3, 1, 2, 4])
    assert thinned(every, "all", 40) == tuple(every)
    assert thinned(every, "best,last", 40) == (every[1], every[3])


@pytest.mark.parametrize("keep", ["", "1", "0", "-3", "best", "3.5", "²", "9" * 5000])
def test_other_values_are_refused(keep):
    with pytest.raises(UsageError, match="--keep"):
        lstmega.train(lstmega.Corpus.from_text("a b " * 99), preset="tiny", keep=keep, steps=1)


def on_disk(run):
    return {path.name for path in (run.path / "weights").iterdir()}


@pytest.fixture(scope="module")
def long_run(tmp_path_factory, text):
    """A run of 20 validations that keeps all, on a little text."""
    options = TINY | {"steps": None, "epochs": 40, "run": "long", "keep": "all", "units": 4}
    checkpoints = tmp_path_factory.mktemp("long")
    corpus = lstmega.Corpus.from_text(text[:900], name="owl")
    return lstmega.train(corpus, checkpoints=checkpoints, progress=False, **options), corpus, options


def test_a_training_ends_with_what_one_thinning_would_leave(long_run, tmp_path):
    everything, corpus, options = long_run
    assert len(everything.record.weights) == 20
    run = lstmega.train(corpus, checkpoints=tmp_path, progress=False, **options | {"keep": None})
    assert run.record.training.keep == "12"
    assert on_disk(run) == {item.file for item in run.record.weights}
    assert run.record.weights == thinned(everything.record.weights, "12", run.record.total_steps)
    assert run.record.best == everything.record.best
    assert 3 <= len(run.record.weights) <= 12


def test_run_json_forgets_a_file_before_it_is_removed(long_run, tmp_path, monkeypatch):
    path = shutil.copytree(long_run[0].path, tmp_path / "long")
    removed, remove = [], files.remove

    def watched(file):
        if file.name.endswith(".h5"):
            assert file.name not in {item.file for item in Run.open(path).record.weights}
            removed.append(file)
        remove(file)

    monkeypatch.setattr(files, "remove", watched)
    (path / "weights/epoch-999.weights.h5").write_bytes(b"left by a killed training")
    (path / "weights/mine.txt").write_text("not of the run")
    left, freed = retention.prune(path, "best,last")
    run = Run.open(path)
    assert left == len(run.record.weights) == len(on_disk(run) - {"mine.txt"})
    assert len(removed) == 20 - left + 1
    assert freed > 1000
    assert len(lstmega.sample(path, length=3)[0].text) == 3


def test_the_command(long_run, tmp_path):
    path = shutil.copytree(long_run[0].path, tmp_path / "checkpoints/long")
    [before] = report.overview(path.parent)
    done = processes.lstmega("prune", "long", "--keep", "3", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "3 weights files" in done.stdout or "2 weights files" in done.stdout
    [after] = report.overview(path.parent)
    assert after["megabytes"] < before["megabytes"]
    assert processes.lstmega("prune", "long", "--keep", "x", cwd=tmp_path).returncode == 2


def test_a_run_that_is_being_trained_is_not_pruned(long_run, tmp_path):
    path = shutil.copytree(long_run[0].path, tmp_path / "long")
    with directory.locked(path), pytest.raises(RunError, match="Another"):
        retention.prune(path, "3")


def test_runs_of_earlier_versions_keep_all(tmp_path):
    assert Run.open(EARLIER / "lstm").record.training.keep == "all"
