import subprocess
import sys

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.evaluation import scoring
from lstmega.inference.mixture import NGramDecoder
from lstmega.inference.ngram import Counts
from lstmega.runs import report
from lstmega.training import counting
from tests.processes import lstmega as command


@pytest.fixture(scope="module")
def corpus(text):
    return Corpus.from_text(text * 5, name="owl")


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    return lstmega.train(
        corpus, run=tmp_path_factory.mktemp("c") / "counted", cell="ngram", progress=False
    )


def test_its_loss_is_that_of_the_counts(run, corpus):
    training, held_out = corpus.split(0.1)[:2]
    model = Counts(run.vocabulary.encode(training), len(run.vocabulary)).model()
    expected = scoring.stream(NGramDecoder(model), run.vocabulary.encode(held_out)).mean()
    assert run.record.nats == pytest.approx(expected, rel=1e-5)
    assert lstmega.evaluate(run).nats_per_character == pytest.approx(expected, rel=1e-5)


def test_it_does_what_a_run_does(run, corpus):
    assert run.record.status == "finished" and run.trained
    assert len(lstmega.sample(run, length=20, seed=1)[0].text) == 20
    assert lstmega.sweep(run, corpus=corpus, temperatures=[0.5], length=50, num_samples=1, seed=0)
    assert len(lstmega.inspect(run, characters=20).nats) == 19
    assert lstmega.compare([run])[0]["parameters"] == 0
    session = lstmega.write(run, prompt="The owl", seed=1, length=10)
    session.propose()
    shown = report.report(run)
    assert "-grams, Kneser-Ney" in shown and "counted" in shown and "units" not in shown
    assert "temperature 0.5" in (run.path / "README.md").read_text()
    assert report.overview(run.path.parent)[0]["model"].endswith("-gram")
    assert lstmega.load(checkpoints=run.path.parent).path == run.path


def test_what_needs_a_network_is_refused(run, corpus, tmp_path):
    with pytest.raises(UsageError, match=r"is an n-gram model. Accepted here: a run with a network"):
        lstmega.sample(run, mix="none")
    with pytest.raises(UsageError, match="is an n-gram model"):
        lstmega.unit(run, "1.1")
    with pytest.raises(UsageError, match="--init-from needs a run with a network"):
        lstmega.train(corpus, run=tmp_path / "b", init_from=run, progress=False)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"units": 9}, "--units"), ({"steps": 9}, "--steps"), ({"preset": "tiny"}, "--preset")],
)
def test_options_that_would_do_nothing_are_refused(options, named, corpus, tmp_path):
    with pytest.raises(UsageError, match=f"--cell ngram counts the text once. Received: {named}"):
        lstmega.train(corpus, run=tmp_path / "a", cell="ngram", progress=False, **options)
    assert not (tmp_path / "a").exists()


def test_again_there_is_nothing_to_do_and_after_a_kill_it_counts(run, corpus, monkeypatch):
    before = run.record
    assert lstmega.train(corpus, run=run.path, progress=False).record == before
    run.update(status="running", mixture=None)
    again = lstmega.train(corpus, run=run.path, progress=False).record
    assert again.mixture == before.mixture and again.status == "finished"


def test_a_failure_is_in_the_record(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(counting.ngram, "pack", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lstmega.train(corpus, run=tmp_path / "a", cell="ngram", progress=False)
    assert lstmega.runs.run.Run.open(tmp_path / "a").record.status == "failed"


def test_how_to_train_is_refused_and_a_run_that_exists_has_no_more_options(run, corpus, tmp_path):
    for odd in ({"device": "cpu"}, {"threads": 2}, {"save_every": 3}):
        with pytest.raises(UsageError, match="--cell ngram trains nothing"):
            lstmega.train(corpus, run=tmp_path / "a", cell="ngram", progress=False, **odd)
    with pytest.raises(UsageError, match=r"counts the text once. Received: --epochs"):
        lstmega.train(corpus, run=run.path, epochs=9, progress=False)


def test_a_short_text_has_no_batches_to_be_too_short_for(tmp_path):
    run = lstmega.train(
        Corpus.from_text("the owl and the pussy-cat went to sea"),
        run=tmp_path / "a",
        cell="ngram",
        progress=False,
    )
    assert lstmega.sample(run, length=5)[0].text


@pytest.mark.parametrize("options", [{"validation": 0}, {"lines": True}])
def test_everything_and_lines(options, tmp_path):
    corpus = Corpus.from_text(
        "".join(f"the owl number {number}\n" for number in range(300)), name="owls"
    )
    run = lstmega.train(corpus, run=tmp_path / "a", cell="ngram", progress=False, **options)
    assert (run.record.nats is None) == ("validation" in options)
    text = lstmega.sample(run, length=30, seed=0)[0].text
    assert text if "validation" in options else text.count("\n") <= 1
    assert "Held-out" in report.farewell(run) or "validation" in options


def test_a_classifier_has_no_such_cell(tmp_path):
    (tmp_path / "n.csv").write_text("a,b\nc,d\n" * 9)
    with pytest.raises(UsageError, match="must be one of: lstm, gru, rnn"):
        lstmega.classify.train(tmp_path / "n.csv", run=tmp_path / "c", cell="ngram", progress=False)


def test_tensorflow_is_not_imported(corpus, tmp_path):
    (tmp_path / "owl.txt").write_text(corpus.text)
    done = command("train", "--corpus", "owl.txt", "--cell", "ngram", "--run", "n", cwd=tmp_path)
    assert done.returncode == 0 and "Counted in" in done.stderr
    code = (
        "import sys, lstmega; lstmega.train('owl.txt', run='m', cell='ngram', progress=False); "
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=False).returncode == 0
    assert np.isfinite(lstmega.load("n", checkpoints=tmp_path / "checkpoints").record.nats)
