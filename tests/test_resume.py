"""Nothing lost: a run that was stopped anywhere ends bit-identical to one that never was."""

import contextlib
import dataclasses
import shutil

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.runs import directory as directories
from lstmega.runs import state as states
from lstmega.runs.run import GeneratorRun
from lstmega.training.callbacks import Snapshot
from lstmega.training.generator import GeneratorLearner
from lstmega.training.trainer import _Loop
from tests.comparing import everything

EPOCH = 12  # steps
OPTIONS = {
    "preset": "tiny",
    "units": 8,
    "embedding": 4,
    "batch_size": 4,
    "sequence_length": 8,
    "layers": 2,
    "dropout": 0.3,
    "input_dropout": 0.1,
    "weight_drop": 0.2,
    "weight_decay": 0.01,
    "ema_decay": 0.9,
    "restarts": 0.1,
    "patience": 9,
    "epochs": 3,
    "warmup": 5,
    "save_every": 1,
    "progress": False,
}


@pytest.fixture(scope="module")
def corpus(text):
    return Corpus.from_text(text[: 4 * 8 * EPOCH + 60], name="owl")


def train(corpus, directory, **changes):
    return lstmega.train(corpus, checkpoints=directory, run="a", **OPTIONS | changes)


def never_stopped(corpus, directory, **changes):
    """A run that was never interrupted, with the states of all its steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "KEPT", 1000)
        return train(corpus, directory, **changes)


@pytest.fixture(scope="module", params=["lstm", "gru"])
def whole(request, corpus, tmp_path_factory):
    return never_stopped(corpus, tmp_path_factory.mktemp(request.param), cell=request.param)


def stopped_at(whole, step, directory):
    """A copy of the run's directory as it was left by a process killed after the state of `step`."""
    run = GeneratorRun.open(shutil.copytree(whole.path, directory / "a"))
    for path in states.paths(run.states):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    run.update(status="running")
    return run


LAST = 3 * EPOCH
STEPS = {
    "nothing saved": 0,
    "first": 1,
    "mid-epoch": EPOCH + 5,
    "before the last step of an epoch": EPOCH - 1,
    "right after a validation": 2 * EPOCH,
    "before the last step": LAST - 1,
    "after the last step": LAST,
}


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS.values(), ids=STEPS)
def test_goes_on_bit_by_bit(whole, corpus, step, tmp_path):
    stopped_at(whole, step, tmp_path)
    run = train(corpus, tmp_path, cell=whole.record.model.cell)
    found, expected = everything(run), everything(whole)
    assert found.keys() == expected.keys()
    for name in expected:
        assert found[name] == expected[name], name


WAYS = {
    "bfloat16": {"precision": "bfloat16", "epochs": 2, "batch_size": 12, "sequence_length": 3},
    "lines": {"lines": True, "restarts": 0.0, "epochs": 2},
    "windows": {
        "order": "windows",
        "one_hot": True,
        "input_dropout": 0.0,
        "hidden": [5],
        "optimizer": "rmsprop",
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_other_ways_of_reading_go_on_bit_by_bit(corpus, way, tmp_path):
    way = {"hidden_dropout": [0.3] * len(way.get("hidden", []))} | way
    whole = never_stopped(corpus, tmp_path / "whole", **way)
    stopped_at(whole, whole.record.epoch_steps + 3, tmp_path)
    run = train(corpus, tmp_path, **way)
    assert everything(run) == everything(whole)


ITEMS = {
    "weights": lambda name, array: name.startswith("network") and array.dtype == np.float32,
    "optimizer slots": lambda name, array: name.startswith("optimizer") and array.ndim > 0,
    "optimizer step": lambda name, array: name == "optimizer/000",
    "lanes": lambda name, array: name.startswith("lanes"),
}


def forget_arrays(patch, item):
    restore = Snapshot.restore

    def forgetful(self, arrays):
        kept = {name: array for name, array in arrays.items() if not item(name, array)}
        restore(self, self.take() | kept)

    patch.setattr(Snapshot, "restore", forgetful)


FIELDS = {
    "position": lambda loop: setattr(loop, "step", EPOCH + 9),
    "history": lambda loop: setattr(loop, "_history", []),
    "samples": lambda loop: setattr(loop, "_samples", ""),
    "losses since the last validation": lambda loop: setattr(loop, "_meter", type(loop._meter)()),
}


def forget_field(patch, forget):
    restore_state = _Loop._restore

    def forgetful(self, state):
        restore_state(self, state)
        forget(self)

    patch.setattr(_Loop, "_restore", forgetful)


@pytest.mark.slow
@pytest.mark.parametrize("forgotten", [*ITEMS, *FIELDS])
def test_every_saved_thing_is_needed(corpus, forgotten, tmp_path, whole, monkeypatch):
    """The negative control: leave one thing out, and the run ends otherwise."""
    if whole.record.model.cell != "lstm":
        pytest.skip("once is enough")
    stopped_at(whole, EPOCH + 5, tmp_path)
    if forgotten in ITEMS:
        forget_arrays(monkeypatch, ITEMS[forgotten])
    else:
        forget_field(monkeypatch, FIELDS[forgotten])
    assert everything(train(corpus, tmp_path)) != everything(whole)


@pytest.mark.slow
def test_patience_goes_on_waiting(corpus, tmp_path):
    options = {"epochs": 20, "patience": 2, "learning_rate": 1e-9}
    for name in ("one", "two0", "two1"):
        (tmp_path / name).mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "KEPT", 1000)
        whole = train(corpus, tmp_path / "one", **options)
    assert whole.record.step < 20 * EPOCH
    for number, step in enumerate((whole.record.step - EPOCH, whole.record.step)):
        stopped_at(whole, step, tmp_path / f"two{number}")
        again = train(corpus, tmp_path / f"two{number}", **options)
        assert everything(again) == everything(whole)
    longer = train(corpus, tmp_path / "one", **options | {"patience": 4})
    assert longer.record.step > whole.record.step


def test_a_finished_run_says_so_and_stays(whole, corpus, capsys, tmp_path):
    run = stopped_at(whole, LAST, tmp_path)
    run.update(status="finished")
    before = everything(run)
    again = train(corpus, tmp_path, cell=whole.record.model.cell, progress=True)
    assert "is finished" in capsys.readouterr().err
    assert everything(again) == before


def test_more_epochs_extend_a_finished_run(whole, corpus, tmp_path):
    stopped_at(whole, LAST, tmp_path).update(status="finished")
    run = train(corpus, tmp_path, cell=whole.record.model.cell, epochs=4)
    assert (run.record.step, run.record.total_steps) == (4 * EPOCH, 4 * EPOCH)
    assert run.record.training.epochs == 4
    assert len(run.history()) == 4
    assert [row.step for row in run.history()][:3] == [row.step for row in whole.history()]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"units": 9}, r"--units 8, not 9"),
        ({"seed": 3}, r"--seed 0, not 3"),
        ({"learning_rate": 0.5}, r"--learning-rate 0.01, not 0.5"),
        ({"max_vocabulary": 5}, r"the vocabulary of sha256 \w+, not"),
        ({"resume": False}, r"exists already"),
    ],
)
def test_other_options_are_refused_with_both_values(whole, corpus, tmp_path, change, message):
    stopped_at(whole, EPOCH, tmp_path)
    with pytest.raises(UsageError, match=message):
        train(corpus, tmp_path, **{"cell": whole.record.model.cell} | change)


def test_another_text_is_refused(whole, corpus, tmp_path):
    stopped_at(whole, EPOCH, tmp_path)
    other = Corpus.from_text(corpus.text[:-1] + "X", name="owl")
    with pytest.raises(UsageError, match=r"the text of sha256 \w+, not"):
        train(other, tmp_path, cell=whole.record.model.cell)


def test_resume_without_a_name_finds_the_unfinished_run(whole, corpus, tmp_path):
    stopped_at(whole, LAST - 1, tmp_path)
    options = {"cell": whole.record.model.cell, "checkpoints": tmp_path, "resume": True}
    run = lstmega.train(corpus, **OPTIONS | options)
    assert run.path == tmp_path / "a"
    with pytest.raises(UsageError, match="no unfinished run"):
        lstmega.train(corpus, **OPTIONS | options)


def test_resume_of_nothing_is_refused(corpus, tmp_path):
    with pytest.raises(UsageError, match="there is no run"):
        train(corpus, tmp_path, resume=True)


def test_without_a_length_the_run_keeps_its_own(whole, corpus, tmp_path):
    stopped_at(whole, EPOCH, tmp_path)
    run = train(corpus, tmp_path, cell=whole.record.model.cell, epochs=None)
    assert everything(run) == everything(whole)


def test_an_extension_that_was_killed_early_is_not_forgotten(whole, corpus, tmp_path, monkeypatch):
    stopped_at(whole, LAST, tmp_path).update(status="finished")
    options = {"cell": whole.record.model.cell, "epochs": 4}

    def die(*_):
        raise KeyboardInterrupt

    for place in ((GeneratorLearner, "_build"), (_Loop, "_resume"), (_Loop, "_planned"),
                  (_Loop, "_begin_callbacks")):  # fmt: skip
        with monkeypatch.context() as patch:
            patch.setattr(*place, die)
            with pytest.raises(KeyboardInterrupt):
                train(corpus, tmp_path, **options)
    assert train(corpus, tmp_path, **options).record.step == 4 * EPOCH


def test_the_run_is_read_once_the_lock_is_held(whole, corpus, tmp_path, monkeypatch):
    """Another process finishes the run between our first look and our lock."""
    run = stopped_at(whole, EPOCH, tmp_path)
    locked = directories.locked

    @contextlib.contextmanager
    def late(path):
        for finished in (whole.path, run.path):
            if finished == whole.path:
                shutil.rmtree(run.path)
                shutil.copytree(whole.path, run.path)
        with locked(path):
            yield

    monkeypatch.setattr(directories, "locked", late)
    again = train(corpus, tmp_path, cell=whole.record.model.cell)
    assert again.record.weights == whole.record.weights
    assert everything(again) == everything(whole)


# Another text, from the weights of a run.


def test_init_from_takes_what_is_known(whole, corpus, tmp_path):
    text = corpus.text.replace("owl", "Ωwl")
    other = Corpus.from_text(text, name="omega")
    changes = {"init_from": whole, "run": "b", "epochs": None, "steps": 1, "learning_rate": 1e-9}
    given = {n: v for n, v in (OPTIONS | changes).items() if n not in ("units", "embedding", "layers")}
    run = lstmega.train(other, checkpoints=tmp_path, **given)
    assert run.record.model == whole.record.model
    assert run.vocabulary.characters == "".join(sorted({*whole.vocabulary.characters, "Ω"}))
    before, now = whole.weights(), run.weights()
    rows = run.vocabulary.encode(whole.vocabulary.characters)
    for name, array in before.items():
        taken = now[name]
        if name.startswith("embedding"):
            taken = taken[rows]
        elif name.startswith("logits"):
            taken = taken[..., rows]
        np.testing.assert_allclose(taken, array, atol=1e-6)
    assert run.record.initial.startswith("a ")


def test_init_from_goes_on_when_its_source_has_moved_on(whole, corpus, tmp_path):
    source = GeneratorRun.open(shutil.copytree(whole.path, tmp_path / "source"))
    options = {"init_from": source, "checkpoints": tmp_path, "run": "b"}
    first = lstmega.train(corpus, **OPTIONS | options | {"cell": whole.record.model.cell, "epochs": 1})
    source.update(best=dataclasses.replace(source.record.best, sha256="0" * 64))
    again = lstmega.train(corpus, **OPTIONS | options | {"cell": whole.record.model.cell, "epochs": 2})
    assert again.record.step == 2 * first.record.step


def test_init_from_another_model_is_refused(whole, corpus, tmp_path):
    with pytest.raises(UsageError, match=r"--init-from a has --units 8, not 9"):
        lstmega.train(corpus, checkpoints=tmp_path, init_from=whole, **OPTIONS | {"units": 9})


def test_a_run_keeps_its_precision(corpus, tmp_path):
    """Also a run that is older than the choice: it was trained in float32."""
    run = train(corpus, tmp_path, epochs=1, precision="auto")
    assert run.record.precision == "float32"  # so short a training is not compiled
    train(corpus, tmp_path, epochs=2, precision="float32")  # what auto chose
    with pytest.raises(UsageError, match="was trained with --precision float32, not bfloat16"):
        train(corpus, tmp_path, epochs=3, precision="bfloat16")
    run = lstmega.load("a", checkpoints=tmp_path)
    run.update(precision="bfloat16")
    assert train(corpus, tmp_path, epochs=3).record.precision == "bfloat16"
    run = lstmega.load("a", checkpoints=tmp_path)
    run.update(precision=None)
    assert train(corpus, tmp_path, epochs=4).record.precision == "float32"
