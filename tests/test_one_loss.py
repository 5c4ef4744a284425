"""A run has one held-out loss: the same wherever it is shown."""

import json

import numpy as np
import pytest

import lstmega
from lstmega import classify
from lstmega.data.corpus import Corpus
from lstmega.runs import generator_job, report
from lstmega.training import classifier as classifier_learner
from tests.processes import lstmega as command

SMALL = {"preset": "tiny", "units": 12, "embedding": 8, "batch_size": 16, "progress": False}
# Text without structure makes states drift: a loss that depended on the reading would show it.
TEXT = "".join(np.random.default_rng(0).choice([*"abcdefgh \n"], 40_000))
WAYS = {
    "stream": {"learning_rate": 0.1, "steps": 20},
    "lines": {"lines": True, "steps": 20},
    "windows": {"order": "windows", "stride": 40, "sequence_length": 10, "steps": 20},
}


@pytest.fixture(scope="module", params=WAYS)
def run(request, tmp_path_factory):
    """A run whose validations read only a part of the held-out text."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generator_job, "VALIDATED", 1_500)
        patch.setattr(generator_job, "VALIDATED_WINDOWS", 300)
        checkpoints = tmp_path_factory.mktemp("c")
        corpus = Corpus.from_text(TEXT, name="noise")
        how = SMALL | WAYS[request.param]
        return lstmega.train(corpus, checkpoints=checkpoints, run=request.param, **how)


def test_every_place_shows_the_same(run):
    nats, record = lstmega.evaluate(run).nats_per_character, run.record
    assert record.held_out_nats == pytest.approx(nats, rel=1e-5)
    assert record.held_out_nats != record.best.nats  # validation read a part
    assert record.nats == pytest.approx(record.held_out_nats, rel=1e-5)  # noise: the network alone
    [overview] = report.overview(run.path.parent)
    shown = f"{record.nats:.3f} nats"
    assert overview["nats"] == pytest.approx(nats, abs=1e-4)
    assert report.as_json(run)["nats"] == record.nats
    assert shown in report.report(run) and shown in (run.path / "README.md").read_text()
    assert shown in repr(run) and shown in report.farewell(run)
    compared = lstmega.compare([run]).to_dicts()[0]["stream_bits"]
    assert compared == pytest.approx(nats / np.log(2), rel=1e-6)


def test_the_commands_agree(run):
    if run.lines:
        pytest.skip("one way is enough")
    found = {}
    for verb, key in (("evaluate", "nats_per_character"), ("show", "nats")):
        given = ("--run", run.name) if verb == "evaluate" else (run.name,)
        done = command(verb, *given, "--json", "--checkpoints", run.path.parent, cwd=run.path)
        found[verb] = json.loads(done.stdout)[key]
    assert found["evaluate"] == pytest.approx(found["show"], rel=1e-5)


def test_a_resumed_run_forgets_the_old_one(run, monkeypatch):
    """The loss of a longer training is measured anew."""
    monkeypatch.setattr(generator_job, "VALIDATED", 1_500)
    monkeypatch.setattr(generator_job, "VALIDATED_WINDOWS", 300)
    before, best = run.record.held_out_nats, run.record.best
    how = SMALL | WAYS[run.name] | {"steps": 24}
    longer = lstmega.train(
        Corpus.from_text(TEXT, name="noise"), checkpoints=run.path.parent, run=run.name, **how
    )
    assert longer.record.held_out_nats != before or longer.record.best.file == best.file
    found = lstmega.evaluate(longer).nats_per_character
    assert longer.record.held_out_nats == pytest.approx(found, rel=1e-5)


def test_a_classifier_too(tmp_path, monkeypatch):
    monkeypatch.setattr(classifier_learner, "VALIDATED", 5)
    (tmp_path / "names.csv").write_text(
        "".join(f"{'ab'[n % 2]},{'xy'[n % 2] * (n + 1)}\n" for n in range(60))
    )
    run = classify.train(
        tmp_path / "names.csv", checkpoints=tmp_path, epochs=1, validation=0.5, units=6, progress=False
    )
    found = lstmega.evaluate(run)
    assert found.examples == run.record.held_out > 5
    assert run.record.nats == pytest.approx(found.nats_per_example, rel=1e-5)
    assert run.record.best.nats != run.record.nats
