"""Generators that do not read one long text: separate lines, and overlapping windows."""

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from tests.processes import lstmega as command

SENTENCES = "tenha um bom dia\neu gosto de ler\noi tudo bem\n"
SMALL = {"preset": "tiny", "units": 12, "embedding": 8, "batch_size": 16, "progress": False}


@pytest.fixture(scope="module")
def lines(tmp_path_factory):
    random = np.random.default_rng(0)
    names = ["".join(random.choice([*"abcde"], random.integers(2, 30))) for _ in range(300)]
    corpus = Corpus.from_text("\n".join([*names, "", " "]), name="names")
    return lstmega.train(corpus, checkpoints=tmp_path_factory.mktemp("c"), lines=True, steps=40, **SMALL)


@pytest.fixture(scope="module")
def windowed(tmp_path_factory, text):
    return lstmega.train(
        Corpus.from_text(text),
        checkpoints=tmp_path_factory.mktemp("c"),
        preset="windowed",
        units=8,
        steps=60,
        sequence_length=10,
        progress=False,
    )


@pytest.mark.slow
def test_three_sentences_are_learnt_by_heart(tmp_path):
    (tmp_path / "s.txt").write_text(SENTENCES)
    done = command(
        "train", "--corpus", "s.txt", "--lines", "--cell", "rnn", "--units", 12, "--preset", "tiny",
        "--steps", 300, "--run", "s", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0
    for sentence in SENTENCES.splitlines():
        first = sentence.split()[0]
        done = command("sample", "--run", "s", "--prompt", first, "--temps", 0, cwd=tmp_path)
        assert done.stdout == f"{sentence}\n"


def test_held_out_lines_cost_what_validation_said(lines):
    assert lines.held_out.count("\n") in (29, 30)  # a tenth of the distinct ones
    found = lstmega.evaluate(lines)
    last = lines.record.best.nats
    # The first character of the whole is not predicted when a text is read as one.
    assert found.nats_per_character == pytest.approx(last, rel=0.02)
    assert "each line from the zero state" in str(found)


def test_every_verb_reads_lines(lines):
    samples = lstmega.sample(lines, temperatures=[1.0], num_samples=5, seed=0)
    assert all("\n" not in one.text for one in samples)
    session = lstmega.write(lines, seed=0)
    assert session.propose()
    assert lstmega.inspect(lines, characters=100).to_dict()
    with pytest.raises(UsageError, match="--dynamic needs a run that carries its state"):
        lstmega.evaluate(lines, dynamic=0.1)


def test_a_windowed_run_writes_and_is_measured(windowed):
    record = windowed.record
    assert record.model.one_hot and record.model.hidden == (24, 32)
    assert len(lstmega.sample(windowed, temperatures=[1.0], length=30, seed=0)[0].text) == 30
    session = lstmega.write(windowed, length=20, seed=0)  # no hidden state to adapt: the cache alone
    session.add("the owl ")
    assert session.propose()
    found = lstmega.evaluate(windowed)
    assert found.nats_per_character == pytest.approx(record.nats, rel=1e-5)
    assert "the last 10 characters read anew" in str(found)
    with pytest.raises(UsageError, match="no unit carries a state"):
        lstmega.unit(windowed, "1.1")
    with pytest.raises(UsageError, match="--dynamic needs a run that carries its state"):
        lstmega.evaluate(windowed, dynamic=0.1)


def test_a_text_in_lower_case(tmp_path):
    (tmp_path / "t.txt").write_text("The Owl\n" * 50)
    corpus = lstmega.read([tmp_path / "t.txt"], lower=True)
    assert set(corpus.text) == set("the owl\n")
    with pytest.raises(UsageError, match="--lower needs characters"):
        lstmega.read([tmp_path / "t.txt"], lower=True, tokens="byte")
    run = lstmega.train(
        tmp_path / "t.txt",
        lower=True,
        checkpoints=tmp_path,
        run="a",
        steps=2,
        **SMALL | {"sequence_length": 8},
    )
    assert lstmega.evaluate(run, text=tmp_path / "t.txt").unknown == 0
    again = lstmega.train(
        tmp_path / "t.txt",
        preset="windowed",
        checkpoints=tmp_path,
        steps=1,
        batch_size=4,
        progress=False,
    )
    assert again.record.text.lower
    kept = lstmega.train(
        tmp_path / "t.txt", preset="windowed", lower=False, checkpoints=tmp_path, run="kept",
        steps=1, batch_size=4, progress=False,
    )  # fmt: skip
    assert not kept.record.text.lower
    resumed = lstmega.train(tmp_path / "t.txt", checkpoints=tmp_path, run="a", steps=2, progress=False)
    assert resumed.record.text.lower and resumed.record.step == 2
    with pytest.raises(UsageError, match="--lower, not without it"):
        lstmega.train(
            tmp_path / "t.txt", checkpoints=tmp_path, run="a", steps=3, lower=False, progress=False
        )
