import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import result
from lstmega.errors import UsageError
from lstmega.evaluation import predictions as inspection
from lstmega.evaluation import scoring
from tests import oracles
from tests.display.test_heatmap import Reader
from tests.planted import PlantedRun

TEXT = "an (owl) and <b> a\n(pussy (cat))\tsat & 'sang'\n" * 3


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_numbers_equal_the_slow_twin(cell):
    run = PlantedRun(TEXT, cell=cell)
    found = inspection.inspect(run, top=3)
    ids = run.vocabulary.encode(TEXT)
    logits = oracles.logits(run.options, run.weights, ids[:-1])
    for number, row in enumerate(logits):
        shares = oracles.softmax(row)
        assert found.nats[number] == pytest.approx(-math.log(shares[ids[number + 1]]), abs=1e-4)
        entropy = -sum(share * math.log(share) for share in shares)
        assert found.entropy[number] == pytest.approx(entropy, abs=1e-4)
        np.testing.assert_allclose(found.probabilities[number], sorted(shares)[:-4:-1], atol=1e-4)
        for character, share in zip(found.likeliest[number], found.probabilities[number], strict=True):
            assert share == pytest.approx(shares[run.vocabulary.characters.index(character)], abs=1e-4)
    assert len(logits) == len(found.nats) == len(TEXT) - 1


def test_a_long_text_is_read_in_lanes(monkeypatch):
    run = PlantedRun(TEXT * 20, planted=False)
    exact = inspection.inspect(run, characters=None)
    monkeypatch.setattr(scoring, "_EXACT", 100)
    found = inspection.inspect(run, characters=None)
    np.testing.assert_allclose(found.nats, exact.nats, atol=1e-3)
    assert not np.array_equal(found.nats, exact.nats)
    assert found.likeliest[:200] == exact.likeliest[:200]


def test_a_real_run(tiny_run):
    found = inspection.inspect(tiny_run, characters=None)
    ids = tiny_run.vocabulary.encode(tiny_run.held_out)
    np.testing.assert_allclose(found.nats, scoring.stream(tiny_run.decoder(), ids, rows=1), atol=1e-9)
    assert found.source == "the held-out tail of owl" and found.text == tiny_run.held_out


def test_the_first_characters():
    found = inspection.inspect(PlantedRun(TEXT), characters=7, top=100)
    assert (found.text, found.source) == (
        TEXT[:7],
        "the first 7 characters of the held-out tail of made",
    )
    assert found.probabilities.shape == (6, len(set(TEXT)))  # as many as there are
    np.testing.assert_allclose(found.probabilities.sum(axis=1), 1)


def test_json_has_every_prediction():
    found = inspection.inspect(PlantedRun(TEXT), top=2)
    content = json.loads(json.dumps(found.to_dict()))
    assert set(content) == {
        "run", "source", "tokens", "unknown_characters", "bits_per_character", "text", "predictions",
    }  # fmt: skip
    assert "".join(row["character"] for row in content["predictions"]) == TEXT[1:]
    first = content["predictions"][0]
    assert [first["nats"], first["entropy"]] == [found.nats[0], found.entropy[0]]
    assert first["likeliest"] == [
        [found.likeliest[0][place], found.probabilities[0, place]] for place in (0, 1)
    ]
    mean = sum(row["nats"] for row in content["predictions"]) / len(content["predictions"])
    assert content["bits_per_character"] == pytest.approx(mean / math.log(2))


def hand_made(text, likeliest, probabilities, bits=(0.42,), entropy=(1.2,)):
    return inspection.Inspection(
        "a", "b", text, np.array(bits) * math.log(2), np.array(entropy) * math.log(2), likeliest,
        np.array(probabilities),
    )  # fmt: skip


def test_a_pointer_at_rest_shows_what_was_expected():
    page = hand_made("xe", ("ea\n",), [[0.754, 0.1, 0.04]]).to_html()
    titles = Reader(page).titles
    assert titles == ['"x" first, no cost', '"e" 0.42 bits; entropy 1.20 bits; e 75%, a 10%, ⏎ 4%']
    page = hand_made("xe", ("'\">",), [[0.754, 0.1, 0.04]]).to_html()
    assert Reader(page).titles[1].endswith("; ' 75%, \" 10%, > 4%")


def test_nothing_of_the_text_is_markup(tmp_path):
    evil = "<script>'\"\x1b\u202e\n"
    found = hand_made(
        evil * 9, tuple(evil[:3] for _ in evil * 9)[1:], np.ones((9 * len(evil) - 1, 3)) / 3,
        np.ones(9 * len(evil) - 1), np.ones(9 * len(evil) - 1),
    )  # fmt: skip
    for page in (found.save_html(tmp_path / "x.html").read_text(), found._repr_html_()):
        read = Reader(page)
        assert "script" not in read.tags and "\x1b" not in page and "\u202e" not in page
        assert read.text == (evil * 9).replace("\x1b", "\\x1b").replace("\u202e", "\\u202e")
        assert "; < 33%, s 33%, c 33%" in read.titles[1]
    assert "\\x1b" in str(found) and "\x1b" not in str(found)


def test_a_cell_and_a_terminal_show_the_beginning():
    run = PlantedRun(TEXT * 30)
    found = inspection.inspect(run, characters=None)
    assert len(Reader(found._repr_html_()).text) == result.PREVIEW
    assert len(str(found).splitlines()) == inspection._ROWS + 5
    assert f"... and {len(TEXT) * 30 - 41:,} more" in str(found)
    assert "more" not in str(inspection.inspect(run, characters=41))


class TestPassages:
    def test_unknown_characters_are_named(self):
        with pytest.raises(UsageError, match=r"'Ж' \(U\+0416\), '7' \(U\+0037\)\. The run knows"):
            inspection.inspect(PlantedRun(TEXT), Corpus.from_text("anЖ7Ж"))

    def test_or_left_out(self):
        found = inspection.inspect(
            PlantedRun(TEXT), Corpus.from_text("aЖn7 o", name="x"), unknown="skip"
        )
        assert (found.text, found.unknown, found.source) == ("an o", 2, "x")

    def test_or_read_as_unk(self):
        run = PlantedRun(TEXT, vocabulary=Vocabulary("()an", has_unknown=True))
        found = inspection.inspect(run, Corpus.from_text("aЖ7n"), top=5)
        assert (found.text, found.unknown) == ("aЖ7n", 0)
        assert all("\N{REPLACEMENT CHARACTER}" in likeliest for likeliest in found.likeliest)

    def test_bytes(self):
        run = PlantedRun("é(“o”)\0\n".encode().decode("latin-1") * 4, tokens="byte")
        found = inspection.inspect(run)
        assert found.text == run.held_out and "nats (" in found.heading and "bits/byte" in found.heading
        assert (
            "the first" not in found.source
            and "bytes of" in inspection.inspect(run, characters=4).source
        )
        foreign = Corpus("x", "\x00\xff", tokens="byte")
        with pytest.raises(UsageError, match=r"Received: byte 0xFF\. The run knows"):
            inspection.inspect(run, foreign)
        with pytest.raises(UsageError, match="was trained on byte tokens"):
            inspection.inspect(run, Corpus.from_text("abc"))

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"unknown": "fold"}, "--unknown must be one of: error, skip. Received: 'fold'"),
            ({"characters": 1}, "--characters must be from 2"),
            ({"characters": 0}, "--characters must be from 2 .* Received: 0"),
            ({"top": 0}, "--top must be from 1 to 100"),
            ({"text": Corpus.from_text("a")}, r"at least 2 characters .* Received: 1\."),
            ({"text": Corpus.from_text("aЖЖ"), "unknown": "skip"}, r"Received: 1\."),
        ],
    )
    def test_wrong_arguments(self, arguments, message):
        with pytest.raises(UsageError, match=message):
            inspection.inspect(PlantedRun(TEXT), **arguments)

    def test_nothing_held_out(self):
        run = PlantedRun(TEXT)
        run.held_out = ""
        with pytest.raises(UsageError, match=r"Received: 0\. Name another text with --text"):
            inspection.inspect(run)

    def test_reports_its_progress(self):
        calls = []
        inspection.inspect(PlantedRun(TEXT), progress=lambda *call: calls.append(call))
        assert len(calls) > 1 and calls == sorted(calls) and calls[0][1] == len(TEXT) - 1


class TestDataFrames:
    def test_have_a_row_for_each_character(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=list))
        found = inspection.inspect(PlantedRun(TEXT))
        assert found.to_dataframe() == found.to_dict()["predictions"]

    def test_need_pandas(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "pandas", None)
        with pytest.raises(UsageError, match="pip install pandas"):
            inspection.inspect(PlantedRun(TEXT)).to_dataframe()
