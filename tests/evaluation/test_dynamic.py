import json
import math
import subprocess
import sys

import numpy as np
import pytest

import lstmega
from lstmega.config.presets import ADAPTATION_RATE
from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.evaluation import dynamic, scoring
from lstmega.inference.adaptation import SEGMENT, Adaptation, as_text
from tests.inference.test_adaptation import TEXT, network, read
from tests.inference.test_decoder import VOCABULARY
from tests.inference.test_mixture import mixed


@pytest.mark.parametrize("numbers", [10, 600 * (VOCABULARY + 8), 10**9])
def test_blocks_and_lanes_cost_what_one_reading_does(numbers, monkeypatch):
    monkeypatch.setattr(dynamic, "_NUMBERS", numbers)
    decoder, text = mixed(), np.tile(TEXT, 12)
    found = dynamic.stream(decoder, text, rate=0.1, size=VOCABULARY)
    expected, _ = Adaptation(0.1, as_text(text[:1])).learn(text[1:], *read(decoder, text))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)


def test_a_segment_that_is_read_alone_is_read_as_it_is():
    ids = TEXT[: SEGMENT // 2]
    found = dynamic.stream(network(), ids, rate=0.1, size=VOCABULARY)
    np.testing.assert_allclose(found, scoring.stream(network(), ids), rtol=1e-5)


def test_both_losses_stand_side_by_side(tiny_run):
    static, found = lstmega.evaluate(tiny_run), lstmega.evaluate(tiny_run, dynamic=0.1)
    assert found.static_nats == static.nats_per_character
    assert found.nats_per_character < static.nats_per_character
    content = json.loads(json.dumps(found.to_dict()))
    assert (content["protocol"], content["rate"]) == ("dynamic", 0.1)
    assert content["static_nats_per_character"] == static.nats_per_character
    assert static.to_dict()["static_nats_per_character"] is None
    table = found.table()
    (row,) = [row for row in table if row[0] == "this model"]
    assert table[0][-2:] == ["reading along: nats", "bits/char"]
    assert [row[:4] for row in table] == static.table()
    assert row[4:] == [f"{found.nats_per_character:.3f}", f"{found.bits_per_character:.3f}"]
    assert all(other[4:] == ["", ""] for other in table[1:] if other is not row)
    assert found.verdict == static.verdict
    assert "adapting at rate 0.1" in str(found) and "reading along" in str(found)


def test_the_rate_has_a_default_and_bounds(tiny_run):
    assert lstmega.evaluate(tiny_run, dynamic=True).rate == ADAPTATION_RATE
    assert lstmega.evaluate(tiny_run, dynamic=False).protocol == "stream"
    for rate in (0, 0.0, -1.0, 11, math.nan):
        with pytest.raises(UsageError, match="--dynamic must be"):
            lstmega.evaluate(tiny_run, dynamic=rate)


def test_each_text_begins_anew(tiny_run):
    one, two = (lstmega.evaluate(tiny_run, dynamic=True) for _ in range(2))
    np.testing.assert_array_equal(one.nats, two.nats)


def test_unknown_characters_are_charged_as_ever(tiny_run):
    text = Corpus.from_text("the owl\u0416 and the \u4e00 cat")
    static, found = (lstmega.evaluate(tiny_run, text=text, dynamic=rate) for rate in (None, True))
    assert found.unknown == 2
    places = [7 - 1, 17 - 1]
    assert static.text[places[0] + 1] == "\u0416" and static.text[places[1] + 1] == "\u4e00"
    np.testing.assert_array_equal(found.nats[places], static.nats[places])
    skipped = lstmega.evaluate(tiny_run, text=text, dynamic=True, unknown="skip")
    assert skipped.characters == static.characters - 2


def test_no_tensorflow_is_imported(tiny_run):
    code = (
        "import sys; from lstmega.cli import main\n"
        "try: main.main(['evaluate', '--dynamic', '--json'])\n"
        "except SystemExit as ended: code = ended.code\n"
        "sys.exit('tensorflow' in sys.modules or code)"
    )
    where = tiny_run.path.parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=where, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rate"] == ADAPTATION_RATE
