"""Runs that version 0.1.0 trained open, write the same text, and resume.

`earlier_runs` holds what that version left when it was stopped at step 35 of 60, and what it wrote,
measured and ended with (`expected.json`). Options are those that a change is most likely to disturb:
all kinds of noise, averaged weights, both directions, lines, windows, one run compiled by XLA. Version
0.2.0 changed the arithmetic of recurrent layers: since then they end equal within float noise, and a
run of that version, with products of bfloat16, is held to its bits.
"""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import lstmega
from lstmega import classify
from lstmega.nn import processor

HERE = Path(__file__).parent / "earlier_runs"
EXPECTED = json.loads((HERE / "expected.json").read_text())
RUNS = EXPECTED["runs"]
GENERATORS = [name for name, run in RUNS.items() if "samples" in run]
NAMES = ["Silva", "Bauer", "Nunes"]

RESUME = """
import sys
from pathlib import Path
import lstmega
from lstmega import classify

for name, text in zip(sys.argv[2::2], sys.argv[3::2]):
    train = classify.train if text.endswith(".csv") else lstmega.train
    how = {"checkpoints": Path(sys.argv[1]), "threads": 1, "device": "cpu", "progress": False}
    train(Path(text), run=name, **how, **({"lower": True} if name == "windowed" else {}))
"""


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """All runs, trained to their end by this version, in one process of one thread as then."""
    work = tmp_path_factory.mktemp("earlier") / "earlier_runs"
    shutil.copytree(HERE, work)
    texts = [part for name, run in RUNS.items() for part in (name, str(work / run["text"]))]
    subprocess.run([sys.executable, "-c", RESUME, str(work / "runs"), *texts], check=True)
    return work / "runs"


def digest(weights):
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weights[name]).tobytes())
    return found.hexdigest()


def same_machine(run, made_by):
    """Whether bits can be the same: the same instructions, and a version with the same arithmetic."""
    now = sorted(name for name in processor.instructions() if name.startswith(("avx", "amx", "fma")))
    versions = run.record.versions
    return (
        now == EXPECTED["cpu"]
        and versions["tensorflow"] == EXPECTED["tensorflow"]
        and versions["lstmega"] == made_by.removeprefix("lstmega ")
    )


def load(name, checkpoints):
    return (lstmega if name in GENERATORS else classify).load(name, checkpoints=checkpoints)


@pytest.mark.parametrize("name", GENERATORS)
def test_opens_with_the_same_loss_and_writes_the_same(name):
    run, expected = lstmega.load(name, checkpoints=HERE / "runs"), RUNS[name]
    samples = lstmega.sample(run, temperatures=[0.5, 1.0], length=60, seed=3, prompt="the ")
    assert [sample.text for sample in samples] == expected["begun_samples"]
    # Version 0.1.0 evaluated lines and windows by a rule other than validation's; now there is one.
    whole = {"lstm", "gru", "rounded"}
    before = expected["begun_evaluation"] if name in whole else run.record.best.nats
    assert lstmega.evaluate(run).nats_per_character == pytest.approx(before, rel=1e-6)


def test_a_classifier_opens_with_the_same_probabilities():
    run = classify.load("classifier", checkpoints=HERE / "runs")
    expected = RUNS["classifier"]
    np.testing.assert_allclose(run.probabilities(NAMES), expected["begun_probabilities"], rtol=1e-5)
    found = classify.evaluate(run).nats_per_example
    assert found == pytest.approx(expected["begun_evaluation"], rel=1e-6)


@pytest.mark.parametrize("name", RUNS)
def test_resumes_to_the_same_end(name, resumed):
    run, expected = load(name, resumed), RUNS[name]
    assert run.record.step == expected["step"]
    begun = load(name, HERE / "runs").record.versions
    same = same_machine(run, expected.get("made_by", EXPECTED["made_by"]))
    assert run.record.exact or not (same and run.record.versions == begun)
    history = run.history()
    np.testing.assert_allclose([row.train_nats for row in history], expected["train_nats"], rtol=1e-4)
    np.testing.assert_allclose([row.validation_nats for row in history], expected["nats"], rtol=1e-4)
    if same:
        assert digest(run.weights()) == expected["digest"]


@pytest.mark.parametrize("name", GENERATORS)
def test_a_resumed_run_writes_what_was_written_then(name, resumed):
    samples = lstmega.sample(
        name,
        checkpoints=resumed,
        temperatures=[0.5, 1.0],
        length=60,
        seed=3,
        prompt="the ",
    )
    assert [sample.text for sample in samples] == RUNS[name]["samples"]
