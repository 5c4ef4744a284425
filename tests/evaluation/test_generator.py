import json
import math

import numpy as np
import pytest

import lstmega
from lstmega.data.corpus import Corpus
from lstmega.errors import PromptError, UsageError
from lstmega.evaluation import generator as evaluation
from lstmega.evaluation import scoring
from lstmega.runs import reading
from lstmega.runs.record import Baseline
from tests.conftest import reseal


def test_the_held_out_tail(tiny_run):
    found = lstmega.evaluate(tiny_run)
    ids = tiny_run.vocabulary.encode(tiny_run.held_out)
    expected = scoring.stream(tiny_run.decoder(), ids, rows=1)
    assert found.characters == len(tiny_run.held_out) - 1
    assert found.nats_per_character == pytest.approx(expected.mean(), abs=1e-4)
    assert found.nats_per_character == pytest.approx(tiny_run.record.best.nats, abs=1e-4)
    assert found.bits_per_character == pytest.approx(found.nats_per_character / math.log(2))
    assert found.perplexity == pytest.approx(math.exp(found.nats_per_character))
    assert found.unknown == 0
    assert "the held-out tail of owl" in found.heading


def test_windows(tiny_run):
    found = lstmega.evaluate(tiny_run, protocol="window", window=10)
    ids = tiny_run.vocabulary.encode(tiny_run.held_out)
    np.testing.assert_array_equal(found.nats, scoring.windows(tiny_run.decoder(), ids, length=10))
    assert "windows of 10" in found.heading


def test_baselines_of_the_same_split_stand_beside_it(tiny_run):
    found = lstmega.evaluate(tiny_run)
    assert found.baselines == tiny_run.record.baselines
    names = [item.name for item in found.baselines]
    assert names[:2] == ["uniform", "unigram"] and names[-3:] == ["gzip", "bzip2", "xz"]
    shown = str(found)
    assert all(name in shown for name in [*names, "this model", found.verdict])


def test_json_has_every_number(tiny_run):
    content = json.loads(json.dumps(lstmega.evaluate(tiny_run).to_dict()))
    assert content["bits_per_character"] > 0
    assert content["yardsticks"][0]["name"] == "uniform"
    assert set(content) == {
        "run", "source", "protocol", "window", "rate", "characters", "nats_per_character",
        "bits_per_character", "perplexity", "unknown_characters", "unknown_rule", "yardsticks",
        "mix", "parts", "static_nats_per_character",
    }  # fmt: skip


FOREIGN = "the owl\u0416 and the \u4e00\u4e00 cat"  # three characters that the run does not know


class TestForeignTexts:
    def test_charged(self, tiny_run):
        """Each unknown character costs a choice among all code points that the run does not know."""
        found = lstmega.evaluate(tiny_run, text=Corpus.from_text(FOREIGN, name="foreign"))
        known = "".join(c for c in FOREIGN if c in tiny_run.vocabulary)
        of_known = lstmega.evaluate(tiny_run, text=Corpus.from_text(known)).nats
        charge = math.log(0x110000 - len(tiny_run.vocabulary))
        assert found.unknown == 3
        assert found.nats.sum() == pytest.approx(of_known.sum() + 3 * charge)
        assert found.nats[7 - 1] == pytest.approx(charge)
        assert "3 characters that the run does not know were charged" in str(found)
        assert {item.name for item in found.baselines} == {"uniform", "gzip", "bzip2", "xz"}

    def test_skipped(self, tiny_run):
        found = lstmega.evaluate(tiny_run, text=Corpus.from_text(FOREIGN), unknown="skip")
        assert found.text == FOREIGN.replace("\u0416", "").replace("\u4e00", "")
        assert found.characters == len(FOREIGN) - 4
        assert "were left out" in str(found)

    @pytest.mark.parametrize("foreign", ["\u0416\u0416", "\u0416a", "a\u0416"])
    def test_hardly_anything_known(self, tiny_run, foreign):
        found = lstmega.evaluate(tiny_run, text=Corpus.from_text(foreign))
        assert found.characters == 1 and math.isfinite(found.nats_per_character)

    @pytest.mark.parametrize(("foreign", "rule"), [("a", "charge"), ("\u0416\u0416a", "skip")])
    def test_too_short(self, tiny_run, foreign, rule):
        with pytest.raises(UsageError, match="at least 2 characters"):
            lstmega.evaluate(tiny_run, text=Corpus.from_text(foreign), unknown=rule)

    def test_a_run_with_unk_charges_both(self, text, tmp_path):
        run = lstmega.train(
            Corpus.from_text(text), checkpoints=tmp_path, preset="tiny", units=4, embedding=3,
            batch_size=2, sequence_length=8, steps=2, max_vocabulary=9, progress=False,
        )  # fmt: skip
        found = lstmega.evaluate(run, text=Corpus.from_text("eee\u0416"))
        ids = run.vocabulary.encode("eee\u0416")
        of_unk = scoring.stream(run.decoder(), ids)[-1]
        assert found.nats[-1] == pytest.approx(of_unk + math.log(0x110000 - 8))

    def test_bytes_of_zero_count(self, tmp_path):
        (tmp_path / "x.bin").write_bytes(bytes([0, 1, 2, 0, 0, 3]) * 60)
        run = lstmega.train(
            tmp_path / "x.bin", tokens="byte", checkpoints=tmp_path, preset="tiny", units=4, embedding=3,
            batch_size=2, sequence_length=8, steps=2, progress=False,
        )  # fmt: skip
        assert lstmega.evaluate(run).characters == 35
        (tmp_path / "y.bin").write_bytes(bytes([0, 9, 0, 0, 1]))
        found = lstmega.evaluate(run, text=tmp_path / "y.bin")
        assert (found.characters, found.unknown) == (4, 1)
        assert found.nats[0] == pytest.approx(math.log(256 - 4))
        assert lstmega.evaluate(run, text=tmp_path / "y.bin", unknown="skip").characters == 3

    def test_bytes_are_no_characters(self, tiny_run, tmp_path):
        (tmp_path / "x.txt").write_text("the owl")
        with pytest.raises(UsageError, match="trained on char tokens"):
            lstmega.evaluate(tiny_run, text=lstmega.read([tmp_path / "x.txt"], tokens="byte"))

    def test_a_corpus_has_its_encoding(self, tiny_run):
        with pytest.raises(UsageError, match="has been read already"):
            lstmega.evaluate(tiny_run, text=Corpus.from_text("the owl"), encoding="latin-1")

    def test_a_file_is_read_as_the_runs_own_text(self, tiny_run, tmp_path):
        (tmp_path / "x.txt").write_bytes("the owl\r\nand the cat".encode("utf-16"))
        assert tiny_run.record.text.line_ends == "kept"
        assert lstmega.evaluate(tiny_run, text=tmp_path / "x.txt").text == "the owl\r\nand the cat"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"unknown": "guess"}, "--unknown must be one of: charge, skip"),
        ({"window": 0, "protocol": "window"}, "--window must be at least 1"),
        ({"protocol": "guess"}, "--protocol must be one of: stream, window"),
        ({"dynamic": 0.1, "protocol": "window"}, "--dynamic needs --protocol stream"),
        ({"dynamic": -1.0}, "--dynamic must be from 0 to 10"),
    ],
)
def test_wrong_arguments(tiny_run, arguments, message):
    with pytest.raises(UsageError, match=message):
        lstmega.evaluate(tiny_run, **arguments)


def test_nothing_held_out(tiny_run):
    reseal(tiny_run, held_out_characters=0, held_out_sha256=reading.digest(b""))
    (tiny_run.path / "held_out.txt").write_text("")
    with pytest.raises(UsageError, match="held no text out"):
        lstmega.evaluate(tiny_run.path)


def test_a_page_and_a_cell(tiny_run, tmp_path):
    found = lstmega.evaluate(tiny_run)
    page = found.save_html(tmp_path / "x.html").read_text()
    assert page.startswith("<!doctype html>") and found.heading in page
    assert "<table>" in found._repr_html_() and "<script" not in found._repr_html_()


def test_runs_beside_each_other(tiny_run):
    rows = lstmega.compare([tiny_run, tiny_run.path])
    assert rows[0] == rows[1]
    assert rows[0]["stream_bits"] == pytest.approx(lstmega.evaluate(tiny_run).bits_per_character)
    assert rows[0]["window_bits"] > rows[0]["stream_bits"] * 0.9
    assert rows[0]["parameters"] == tiny_run.record.parameters


def test_no_baselines_no_verdict(tiny_run):
    found = evaluation.Evaluation("a", "b", "stream", "abc", np.array([1.0, 2.0]))
    assert found.verdict == "" and "this model" in str(found)
    better = Baseline("x", 0.1)
    assert "worse than every" in evaluation.Evaluation(
        "a", "b", "stream", "abc", np.array([1.0, 2.0]), baselines=(better,)
    ).verdict  # fmt: skip


def test_unknown_prompts_are_another_matter(tiny_run):
    with pytest.raises(PromptError):
        lstmega.sample(tiny_run, prompt=FOREIGN)


@pytest.mark.parametrize("function", [lstmega.evaluate, lstmega.inspect])
def test_an_empty_name_of_a_text_is_refused_by_its_option(function, tiny_run):
    with pytest.raises(UsageError, match=r"--text needs a text\. Received: ''\. Accepted: a text file"):
        function(tiny_run, text="")
