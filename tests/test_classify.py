"""Classifiers from end to end: verbs, runs, resume, commands, mistakes."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstmega
from lstmega import classify
from lstmega.data.labelled import Labelled
from lstmega.errors import RunError, UsageError
from lstmega.runs import classifier_job as classifier_jobs
from lstmega.runs import state as states
from lstmega.runs.run import ClassifierRun
from tests.comparing import everything
from tests.processes import lstmega as command

SMALL = {
    "units": 8,
    "embedding": 6,
    "epochs": 6,
    "batch_size": 16,
    "learning_rate": 0.03,
    "validation": 0.2,
    "progress": False,
    "ema_decay": 0.0,
}


def names(count=240):
    """Names that end in their class' letters: easy, and only at the end of each."""
    random = np.random.default_rng(0)
    endings = {"Polish": "ski", "Russian": "ov", "Spanish": "ez"}
    drawn = [
        ("".join(random.choice([*"abcdefghijk"], random.integers(2, 9))), label)
        for label in random.choice([*endings], count)
    ]
    return Labelled(
        "names",
        "text",
        [f"{start}{endings[label]}" for start, label in drawn],
        tuple(str(label) for _, label in drawn),
    )


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("classifiers")


@pytest.fixture(scope="module")
def trained(directory):
    (directory / "data").mkdir()
    data = names()
    for label in data.classes:
        rows = [one for one, name in zip(data.sequences, data.labels, strict=True) if name == label]
        (directory / "data" / f"{label}.txt").write_text("\n".join(rows))
    return classify.train(
        directory / "data", checkpoints=directory / "checkpoints", run="names", **SMALL
    )


def test_learns(trained):
    history = trained.history()
    assert history[-1].validation_accuracy > 0.95
    assert history[-1].validation_nats < history[0].validation_nats
    assert trained.record.unit == "example"
    assert "validation_accuracy" in (trained.path / "history.csv").read_text().splitlines()[0]


def test_predicts_and_evaluates_without_tensorflow(trained):
    found = classify.predict(trained, ["bobski", "kikov"])
    assert found.labels == ["Polish", "Russian"]
    assert sum(found[0].probabilities.values()) == pytest.approx(1)
    [one] = classify.predict(trained, "bobski").to_dicts(top=1)
    assert (one["class"], list(one["probabilities"])) == ("Polish", ["Polish"])
    assert "Polish" in str(found)
    assert "<table>" in found._repr_html_()


def test_asking_brings_no_tensorflow(trained):
    code = (
        "import sys; from lstmega import classify; "
        f"classify.predict({str(trained.path)!r}, 'bobski'); classify.evaluate({str(trained.path)!r}); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_evaluation_is_of_what_was_held_out(trained):
    found = classify.evaluate(trained)
    assert found.examples == trained.record.held_out
    best = next(row for row in trained.history() if row.step == trained.record.best.step)
    assert found.accuracy == pytest.approx(best.validation_accuracy)
    assert found.nats_per_example == pytest.approx(best.validation_nats, rel=1e-5)
    assert {"accuracy", "macro_f1", "confusion"} <= found.to_dict().keys()
    assert "macro-F1" in str(found)
    assert "<svg" in found._repr_html_()
    assert len(found.to_dataframe()) == 3


def test_other_data_are_all_read(trained, directory, tmp_path):
    (tmp_path / "new.csv").write_text("Polish,abski\nRussian,abov\n")
    found = classify.evaluate(trained, tmp_path / "new.csv")
    assert (found.examples, found.accuracy) == (2, 1.0)
    (tmp_path / "odd.csv").write_text("Polish,abski\nKlingon,abov\n")
    with pytest.raises(UsageError, match="Klingon"):
        classify.evaluate(trained, tmp_path / "odd.csv")
    shutil.copytree(directory / "data", tmp_path / "moved")
    assert classify.evaluate(trained, tmp_path / "moved", moved=True).examples == trained.record.held_out
    with pytest.raises(UsageError, match="is not the data"):
        classify.evaluate(trained, tmp_path / "new.csv", moved=True)


def test_a_header_that_the_run_had_can_be_absent(tmp_path):
    (tmp_path / "t.csv").write_text("kind,name\n" + "x,aa\ny,bb\n" * 6)
    how = SMALL | {"epochs": 1, "header": True}
    run = classify.train(tmp_path / "t.csv", checkpoints=tmp_path / "c", **how)
    (tmp_path / "plain.csv").write_text("x,aa\ny,bb\nx,cc\n")
    assert classify.evaluate(run, tmp_path / "plain.csv").examples == 2
    assert classify.evaluate(run, tmp_path / "plain.csv", header=False).examples == 3


def test_data_that_are_gone_are_asked_for(tmp_path):
    (tmp_path / "t.csv").write_text("x,aa\ny,bb\n" * 5 + "x,cc\ny,dd\n")
    run = classify.train(tmp_path / "t.csv", checkpoints=tmp_path / "c", **SMALL | {"epochs": 1})
    (tmp_path / "deep" / "er").mkdir(parents=True)
    run = classify.load(shutil.move(run.path, tmp_path / "deep" / "er"))
    with pytest.raises(UsageError, match="held nothing out"):  # they are found, and read
        classify.evaluate(run)
    (tmp_path / "t.csv").unlink()
    with pytest.raises(UsageError, match=r"needed. Received: nothing at .*/t.csv nor at .*deep/t.csv"):
        classify.evaluate(run)


@pytest.mark.parametrize("pool", ["last", "mean", "max"])
@pytest.mark.parametrize(("cell", "more"), [("gru", {"bidirectional": True}), ("rnn", {"layers": 2})])
def test_vectors(cell, more, pool, tmp_path):
    random = np.random.default_rng(0)
    labels = random.integers(2, size=120)
    rows = [
        random.normal(size=(random.integers(2, 7), 3)).astype(np.float32) + 2 * label for label in labels
    ]
    data = Labelled("points", "vectors", rows, tuple(map(str, labels)))
    run = classify.train(data, checkpoints=tmp_path, cell=cell, pool=pool, **SMALL | more)
    assert run.history()[-1].validation_accuracy > 0.9
    assert classify.predict(run, rows[:3]).labels == data.labels[:3] or pool
    with pytest.raises(UsageError, match=r"\[time, 3\]"):
        classify.predict(run, [np.zeros((2, 4))])
    with pytest.raises(UsageError, match="finite"):
        classify.predict(run, [np.full((2, 3), np.nan)])


def test_words(tmp_path):
    random, words = np.random.default_rng(0), {"a": "red blue green", "b": "one two three"}
    labels = [str(label) for label in random.choice(["a", "b"], 100)]
    texts = [" ".join(random.choice([*words[label].split(), "the"], 12)) for label in labels]
    data = Labelled("t", "text", texts, tuple(labels))
    run = classify.train(data, checkpoints=tmp_path, **SMALL)
    assert run.record.data.tokens == "word"
    assert classify.predict(run, ["the red unheard-of", "The TWO"]).labels == ["a", "b"]
    assert ClassifierRun.open(run.path).vocabulary == run.vocabulary


NOISY = {
    "dropout": 0.3,
    "input_dropout": 0.1,
    "token_dropout": 0.1,
    "smoothing": 0.1,
    "ema_decay": 0.9,
    "bidirectional": True,
    "layers": 2,
    "save_every": 1,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that was never interrupted, with the states of all its steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "KEPT", 1000)
        options = SMALL | NOISY
        return classify.train(names(), checkpoints=tmp_path_factory.mktemp("w"), run="a", **options)


@pytest.mark.slow
@pytest.mark.parametrize("place", [0, 1, 0.6, 1.2])
def test_goes_on_bit_by_bit(whole, place, tmp_path):
    step = place if isinstance(place, int) else int(place * whole.record.epoch_steps)
    run = ClassifierRun.open(shutil.copytree(whole.path, tmp_path / "a"))
    for path in states.paths(run.states):
        if int(path.name.removeprefix("step-")) > step:
            shutil.rmtree(path)
    run.update(status="running")
    again = classify.train(names(), checkpoints=tmp_path, run="a", **SMALL | NOISY)
    assert everything(again) == everything(whole)


def test_a_finished_run_has_nothing_to_do_and_another_is_refused(trained, directory):
    same = {"checkpoints": directory / "checkpoints", "run": "names"}
    assert classify.train(directory / "data", **same, **SMALL).record == trained.record
    for change, message in {
        "units": (9, "--units 8, not 9"),
        "tokens": ("word", "--tokens char, not word"),
        "split": ("random", "--split distinct, not random"),
    }.items():
        with pytest.raises(UsageError, match=message[1]):
            classify.train(directory / "data", **same, **SMALL | {change: message[0]})
    with pytest.raises(UsageError, match=r"the data of sha256 \w+, not"):
        classify.train(names(100), **same, **SMALL)


def test_the_two_kinds_of_runs_are_told_apart(trained, tiny_run):
    checkpoints = trained.path.parent
    generator = shutil.copytree(tiny_run.path, checkpoints / "owl", dirs_exist_ok=True)
    assert isinstance(lstmega.load("owl", checkpoints=checkpoints), lstmega.GeneratorRun)
    assert isinstance(lstmega.load("names", checkpoints=checkpoints), lstmega.ClassifierRun)
    assert classify.load(checkpoints=checkpoints).name == "names"
    with pytest.raises(UsageError, match="is a classifier"):
        lstmega.sample("names", checkpoints=checkpoints)
    with pytest.raises(UsageError, match="is a generator"):
        classify.load("owl", checkpoints=checkpoints)
    done = command("runs", "--checkpoints", checkpoints, cwd=checkpoints)
    assert "names" in done.stdout and "owl" in done.stdout
    shutil.rmtree(generator)


def test_a_damaged_vocabulary_is_refused(trained, tmp_path):
    run = ClassifierRun.open(shutil.copytree(trained.path, tmp_path / "a"))
    content = json.loads((run.path / "vocabulary.json").read_text())
    content["code_points"].pop()
    (run.path / "vocabulary.json").write_text(json.dumps(content))
    with pytest.raises(RunError, match=r"vocabulary.json is damaged"):
        classify.predict(run, ["a"])


BAD = {
    "unknown option": ({"unit": 3}, "There is no option 'unit'. Did you mean units"),
    "of text": ({"lines": True}, r"Options of text.*lines"),
    "no number": ({"units": "8"}, "--units must be a whole number"),
    "tokens": ({"tokens": "byte"}, "--tokens must be one of: char, word"),
    "vocabulary": ({"max_vocabulary": 1}, "--max-vocabulary must be"),
}


@pytest.mark.parametrize(("change", "message"), BAD.values(), ids=BAD)
def test_mistakes_are_told_before_tensorflow(change, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        classify.train(names(20), checkpoints=tmp_path, **SMALL | change)


def test_tokens_are_about_texts(tmp_path):
    data = Labelled("v", "vectors", [np.zeros((2, 2), np.float32)] * 4, ("a", "b", "a", "b"))
    with pytest.raises(UsageError, match="--tokens applies to texts"):
        classify.train(data, checkpoints=tmp_path, tokens="char")


def test_balance_weighs_classes_and_keeps_the_mean():
    data = names()
    job = classifier_jobs.prepare(
        data, checkpoints="none", class_weight_power=1.0, validation=0.0, split="random"
    )
    weights = job.class_weights()
    counts = np.array([data.labels.count(name) for name in data.classes])
    np.testing.assert_allclose(weights * counts, len(data.labels) / 3, rtol=1e-5)
    plain = classifier_jobs.prepare(data, checkpoints="none", class_weight_power=0.0)
    np.testing.assert_allclose(plain.class_weights(), 1, rtol=1e-6)


@pytest.mark.parametrize("text", ["", " "])
def test_an_empty_text_has_no_class(trained, text):
    with pytest.raises(UsageError, match="must have a character"):
        classify.predict(trained, [text])


def test_numbers_are_no_sequences(trained):
    with pytest.raises(UsageError, match="Received: numbers"):
        classify.predict(trained, [1, 2])


class TestCommands:
    def test_predict(self, trained):
        done = command(
            "classify", "predict", "--run", "names", "bobski", "-", cwd=trained.path.parents[1],
            stdin="kikov\n\nabez\n",
        )  # fmt: skip
        assert [line.split()[:2] for line in done.stdout.splitlines()] == [
            ["bobski", "Polish"],
            ["kikov", "Russian"],
            ["abez", "Spanish"],
        ]

    def test_predict_for_machines(self, trained):
        where = trained.path.parents[1]
        done = command("classify", "predict", "kikov", "--json", "--top", 2, cwd=where)
        [found] = json.loads(done.stdout)
        assert (found["class"], len(found["probabilities"])) == ("Russian", 2)

    def test_evaluate(self, trained, tmp_path):
        where, page = trained.path.parents[1], tmp_path / "e.html"
        done = command("classify", "evaluate", "--json", "--html", page, cwd=where)
        assert json.loads(done.stdout)["accuracy"] > 0.9
        assert "<svg" in page.read_text()
        assert "F1" in command("classify", "evaluate", cwd=where).stdout

    def test_show(self, trained):
        done = command("show", "names", cwd=trained.path.parents[1])
        assert "3 classes" in done.stdout
        assert "nats/example" in done.stdout
        card = (trained.path / "README.md").read_text()
        assert "| Polish |" in card
        assert "lstmega classify predict" in card

    def test_train(self, directory):
        done = command(
            "classify", "train", "--data", "data", "--epochs", 1, "--units", 4, "--run", "quick",
            "--checkpoints", "other", cwd=directory,
        )  # fmt: skip
        assert (done.returncode, Path(done.stdout.strip())) == (0, Path("other/quick"))
        assert "% right" in done.stderr

    @pytest.mark.parametrize(
        ("arguments", "code", "message"),
        [
            (["predict"], 2, "Name what to classify"),
            (["predict", "--run", "none", "x"], 2, "There is no run 'none'"),
            (["evaluate", "--data", "none.csv"], 2, "No such file"),
            (["train", "--data", "none.csv"], 2, "No such file"),
            (["train"], 2, "Missing option '--data'"),
        ],
    )
    def test_mistakes(self, trained, arguments, code, message):
        done = command("classify", *arguments, cwd=trained.path.parents[1])
        assert done.returncode == code
        assert message in done.stderr
