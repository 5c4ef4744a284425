import math
import shutil

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import RunError, UsageError
from lstmega.evaluation import mixing, scoring
from lstmega.inference.decoder import log_softmax
from lstmega.inference.mixture import NGRAM, MixedDecoder, NGramDecoder, PairedDecoder
from lstmega.inference.ngram import Counts
from lstmega.runs import report
from tests.conftest import TINY, reseal
from tests.inference.test_decoder import make

SIZE = 11
# Each character follows from the two before it, but for some noise: counting learns that at once.
NOISE = np.random.default_rng(3)


def chain(length):
    ids = [1, 2]
    for _ in range(length):
        follows = (3 * ids[-1] + ids[-2]) % SIZE
        ids.append(int(NOISE.integers(SIZE)) if NOISE.random() < 0.2 else follows)
    return np.array(ids)


LEARNT, HELD_OUT = chain(8000), chain(3000)


def pair(learnt=LEARNT):
    return PairedDecoder(make(vocabulary_size=SIZE)[2], NGramDecoder(Counts(learnt, SIZE).model()))


def test_the_losses_are_those_of_three_readings():
    decoder, exponents = pair(), [(0.2, 0.9), (0.4, 0.8)]
    network_nats, ngram_nats, nats = mixing.measure(exponents, mixing._steps(decoder, HELD_OUT))
    counts = NGramDecoder(Counts(LEARNT, SIZE).model())
    network = make(vocabulary_size=SIZE)[2]
    assert network_nats == pytest.approx(scoring.stream(network, HELD_OUT).mean(), rel=1e-5)
    assert ngram_nats == pytest.approx(scoring.stream(counts, HELD_OUT).mean(), rel=1e-5)
    mixed = scoring.stream(MixedDecoder(decoder, exponents), HELD_OUT).mean()
    assert nats == pytest.approx(mixed, rel=1e-5)
    cost = mixing.charge(exponents, 2999)
    assert cost == pytest.approx(4 * math.log(2999) / 2 / 2999)


def test_no_pair_of_exponents_on_a_grid_is_cheaper():
    decoder = pair()
    parts, targets, _ = map(np.concatenate, zip(*mixing._steps(decoder, HELD_OUT), strict=True))
    network, ngram, _ = mixing.split(parts)
    found = mixing._newton(network, ngram, targets, np.array([0.5, 0.5]), 0)

    def nats(a, b):
        return -log_softmax(a * network + b * ngram)[np.arange(len(targets)), targets].mean()

    grid = min(nats(a, b) for a in np.arange(0, 1.55, 0.1) for b in np.arange(0, 1.55, 0.1))
    assert nats(*found) <= grid + 1e-6


def test_a_network_that_knows_nothing_has_little_to_say():
    exponents, losses = mixing.mixed(pair(), HELD_OUT)
    network, ngram = np.mean(exponents, axis=0)
    assert network < 0.2
    assert ngram > 0.7
    assert losses.nats < losses.ngram < losses.network


def test_counts_that_know_nothing_are_left_out():
    exponents, losses = mixing.mixed(pair(learnt=np.array([1])), NOISE.integers(0, SIZE, 500))
    assert {ngram for _, ngram in exponents} == {0}
    assert losses.nats < losses.network


def test_a_long_text_is_fitted_on_characters_from_all_over(monkeypatch):
    monkeypatch.setattr(mixing, "FITTED", 500)
    read, places, fitted = mixing._steps, [], []

    def steps(*how):
        for step in read(*how):
            places.extend(step[2].tolist())
            yield step

    monkeypatch.setattr(mixing, "_steps", steps)
    monkeypatch.setattr(mixing, "_newton", lambda *given: fitted.append(len(given[2])) or np.ones(2))
    mixing.fit(pair(), chain(40_000))
    assert 300 < fitted[0] < 700
    assert min(places) < 8_000 and max(places) > 30_000


@pytest.mark.parametrize("most", [10**9, 0])  # the text is kept, or read twice
def test_a_mixture_is_not_worse_than_counting_on_any_part_of_a_long_text(most, monkeypatch):
    monkeypatch.setattr(mixing, "FITTED", 1000)
    monkeypatch.setattr(mixing, "_MOST_KEPT", max(most, 1000 * 2 * SIZE))
    ids = np.concatenate([NOISE.integers(0, SIZE, 1001), chain(4000)])
    exponents, losses = mixing.mixed(pair(), ids)
    assert losses.nats <= min(losses.network, losses.ngram)
    read = scoring.stream(MixedDecoder(pair(), exponents), ids).mean()
    assert losses.nats == pytest.approx(read + losses.charge, rel=1e-5)


def test_exponents_that_misfit_the_whole_give_way(monkeypatch):
    monkeypatch.setattr(mixing, "fit", lambda *_: [(1.0, 1.9)])
    exponents, losses = mixing.mixed(pair(), HELD_OUT)
    assert exponents == NGRAM and losses.nats == losses.ngram


@pytest.fixture(scope="module")
def corpus(text):
    words = [*dict.fromkeys(text.split())]
    order = np.random.default_rng(0).choice(len(words), 6000)
    return Corpus.from_text(" ".join(words[place] for place in order), name="words")


@pytest.fixture(scope="module")
def run(corpus, tmp_path_factory):
    checkpoints = tmp_path_factory.mktemp("mixed")
    return lstmega.train(corpus, checkpoints=checkpoints, progress=False, **TINY | {"run": "mixed"})


def test_a_trained_run_writes_with_both(run):
    mixture = run.record.mixture
    assert mixture.nats < mixture.network
    assert mixture.nats <= mixture.ngram
    assert run.record.nats == mixture.nats
    found, alone = lstmega.evaluate(run), lstmega.evaluate(run, mix="none")
    assert found.nats_per_character == pytest.approx(mixture.nats, rel=1e-5)
    assert alone.nats_per_character == pytest.approx(mixture.network, rel=1e-5)
    assert (found.to_dict()["mix"], alone.to_dict()["mix"]) == ("ngram", "none")
    rows = dict(row[:2] for row in found.table())
    assert rows["its network alone"] == f"{mixture.network:.3f}"
    assert rows["12-gram (Kneser-Ney)"] == f"{mixture.ngram:.3f}"
    shown = report.report(run)
    assert "mixed with 12-grams" in shown
    assert "its network alone" in shown and f"{mixture.nats:.3f}" in shown
    texts = [lstmega.sample(run, seed=1, length=80, mix=mix)[0].text for mix in (None, "none", "ngram")]
    assert texts[0] == texts[2] != texts[1]


def test_each_character_knows_the_share_of_the_counts(run, corpus, tmp_path):
    [sample] = lstmega.sample(run, temperatures=[0.7], prompt="the owl", seed=3, length=40)
    decoder, exponents = run.decoder(), run.record.mixture.exponents
    model = decoder.pair.ngram.model
    nodes, expected = model.begin(1), []
    for identity in run.vocabulary.encode("the owl" + sample.text)[:-1]:
        nodes = model.advance(np.array([identity]), nodes)
        network, ngram = exponents[min(int((nodes > 0).sum()), len(exponents) - 1)]
        expected.append(ngram / (network + ngram))
    np.testing.assert_allclose(sample.ngram_share, expected[6:], rtol=1e-6)
    assert sample.to_dict()["ngram_share"] == sample.ngram_share.round(3).tolist()
    [alone] = lstmega.sample(run, temperatures=[0.7], seed=3, length=5, mix="none")
    assert alone.ngram_share is None and alone.to_dict()["ngram_share"] is None
    swept = lstmega.sweep(run, corpus=corpus, temperatures=[0.7], length=30, num_samples=2, seed=0)
    assert "n-grams" in swept.save_html(tmp_path / "sweep.html").read_text()
    assert set(swept.to_dicts()[0]["samples"][0]) == {"run", "temperature", "seed", "prompt", "text"}


def test_other_texts_are_not_charged_for_the_exponents(run):
    text = Corpus.from_text("the owl and the pussy-cat went to sea")
    found = lstmega.evaluate(run, text=text)
    expected = scoring.stream(run.decoder(), run.vocabulary.encode(text.text))
    np.testing.assert_allclose(found.nats, expected)


def test_every_way_of_reading_takes_the_mixture(run):
    inspected = lstmega.inspect(run, characters=50)
    expected = scoring.stream(run.decoder(), run.vocabulary.encode(run.held_out[:50]), rows=1)
    np.testing.assert_allclose(inspected.nats, expected, rtol=1e-5)
    constrained = lstmega.sample(run, seed=1, length=40, regex="[a-z ]*")
    assert all(set(sample.text) <= set("abcdefghijklmnopqrstuvwxyz ") for sample in constrained)
    lstmega.unit(run, "1.1", characters=30)  # a unit is the network's


def test_a_run_without_counts_refuses_to_mix(tiny_run):
    assert tiny_run.record.mixture is None  # too little was held out
    with pytest.raises(UsageError, match=r"--mix ngram.*Accepted"):
        lstmega.sample(tiny_run, mix="ngram")
    with pytest.raises(UsageError, match=r"--mix must be one of: ngram, none"):
        lstmega.evaluate(tiny_run, mix="counts")


def test_a_mixture_adapts(run):
    for mix in (None, "none"):
        static, found = (lstmega.evaluate(run, mix=mix, dynamic=rate) for rate in (None, True))
        assert found.static_nats == static.nats_per_character
        assert (found.mix, found.parts) == (static.mix, static.parts)
        assert found.nats_per_character < static.nats_per_character
    charge = run.record.mixture.charge
    text = Corpus.from_text(run.held_out, name="the same")
    charged, free = lstmega.evaluate(run, dynamic=True), lstmega.evaluate(run, dynamic=True, text=text)
    np.testing.assert_allclose(charged.nats, free.nats + charge)


def test_an_extension_counts_again(run, corpus, tmp_path):
    how = TINY | {"run": tmp_path / "a", "steps": 20, "progress": False}
    first = lstmega.train(corpus, **how).record.mixture
    second = lstmega.train(corpus, **how | {"steps": 30}).record.mixture
    assert second.network != first.network and second.sha256 == first.sha256
    third = lstmega.train(corpus, **how | {"steps": 40, "mix": "none"})
    assert third.record.mixture is None
    assert not (third.path / "ngram.safetensors").exists()
    again = lstmega.train(corpus, **how | {"steps": 40, "mix": "ngram"})
    assert again.record.mixture is not None and again.record.step == 40
    assert lstmega.sample(again, length=5, mix="ngram")


def test_a_network_that_counting_cannot_help_has_no_ngrams(tmp_path):
    noise = "".join(np.random.default_rng(0).choice([*"abcdefgh"], 12_000))
    how = TINY | {"run": tmp_path / "noise", "steps": 30, "progress": False}
    run = lstmega.train(Corpus.from_text(noise, name="noise"), **how)
    assert run.record.mixture is None and not (run.path / "ngram.safetensors").exists()
    assert any("gram" in one.name for one in run.record.baselines)


def test_a_text_that_is_too_short_to_mix_refuses_it(tmp_path):
    text = Corpus.from_text("the owl and the pussy-cat went to sea " * 100, name="owl")
    with pytest.raises(UsageError, match=r"--mix ngram needs at least 1,000 held-out characters, and"):
        lstmega.train(text, **TINY | {"run": tmp_path / "a", "mix": "ngram", "progress": False})
    with pytest.raises(UsageError, match=r"--mix ngram needs --order lanes or shuffled"):
        lstmega.train(text, run=tmp_path / "a", preset="windowed", mix="ngram", progress=False)


def test_a_damaged_model_is_refused(run, tmp_path):
    copy = lstmega.load(shutil.copytree(run.path, tmp_path / "copy"))
    (copy.path / "ngram.safetensors").write_bytes(b"x" * 1000)
    with pytest.raises(RunError, match=r"ngram.safetensors is damaged.*--mix none"):
        lstmega.sample(copy, length=3)
    assert lstmega.sample(copy, length=3, mix="none")
    fields = vars(copy.record.mixture) | {"exponents": [[1.0, -3.0]]}
    reseal(copy, mixture=fields)
    with pytest.raises(RunError, match=r"exponents must be pairs from 0 to 2"):
        lstmega.load(copy.path)
