import json

import numpy as np
import pytest

from lstmega.data.corpus import Corpus
from lstmega.errors import UsageError
from lstmega.evaluation import features, scoring
from lstmega.evaluation import probing as findings
from lstmega.evaluation.activations import Unit
from tests.evaluation.test_activations import states_of
from tests.planted import FOLLOWS, STILL, PlantedRun

WORDS = [
    "owl",
    "(pea-green",
    "boat)",
    "cat",
    "(honey)",
    "\n",
    "sea",
    "and",
    "(they took",
    "some)",
    "money",
]


def made_text(length, seed=1):
    """Words in any order; brackets that stay in pairs."""
    rng, out, opened = np.random.default_rng(seed), [], False
    for _ in range(length):
        word = WORDS[rng.integers(len(WORDS))]
        if word not in ("owl", "cat", "\n", "sea", "and", "money"):
            word = word.strip("()")
            word, opened = (word + ")", False) if opened else ("(" + word, True)
        out.append(word)
    return " ".join(out)


TEXT = made_text(400)


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_the_planted_unit_is_found_first(cell):
    run = PlantedRun(TEXT, cell=cell)
    found = findings.find(run, "brackets")
    assert found.best == Unit(1, FOLLOWS + 1)
    assert found.found[0].score > 0.99 and found.found[0].chosen > 0.99
    assert found.chance < 0.5
    assert (found.part, found.characters) == ("memory" if cell == "lstm" else "hidden", len(TEXT))


def test_a_unit_that_is_off_inside_has_a_negative_score():
    found = findings.find(PlantedRun(TEXT), lambda text: 1 - features.bracketed(text))
    assert found.best == Unit(1, FOLLOWS + 1) and found.found[0].score < -0.99


@pytest.fixture(scope="module", params=[True, False], ids=["exact", "lanes"])
def read(request):
    """How it is read; a run; the activations of all its units, one step at a time."""
    run = PlantedRun(TEXT, planted=request.param)
    states = states_of(run, run.vocabulary.encode(TEXT))
    steps = [np.tanh(np.concatenate([memory for _, memory in state])) for state in states]
    return request.param, run, np.concatenate(steps, axis=1).astype(float)  # [units, characters]


@pytest.mark.parametrize("feature", ["brackets", "line", "words"])
def test_scores_equal_the_slow_twin(feature, read, monkeypatch):
    """Pearson's correlation by NumPy."""
    exact, run, activations = read
    if not exact:
        monkeypatch.setattr(scoring, "_EXACT", 100)
    found = findings.find(run, feature, most=100)
    track, middle = features.of(feature, TEXT), len(TEXT) // 2
    assert len(found.found) == 16 and found.mean == pytest.approx(track.mean())
    for one in found.found:
        values = activations[(one.unit.layer - 1) * 8 + one.unit.number - 1]
        for value, half in ((one.chosen, slice(middle)), (one.score, slice(middle, None))):
            still = values.std() == 0
            expected = 0 if still else np.corrcoef(values[half], track[half])[0, 1]
            assert value == pytest.approx(expected, abs=1e-6 if exact else 2e-3)
    sizes = [abs(one.chosen) for one in found.found]
    assert sizes == sorted(sizes, reverse=True)


def test_chance_is_the_same_search_for_a_track_moved():
    run = PlantedRun(TEXT)

    def moved(text):
        track, middle = features.bracketed(text), len(text) // 2
        halves = track[:middle], track[middle:]
        return np.concatenate([np.roll(half, len(half) // 2) for half in halves])

    again = findings.find(run, moved, most=3)
    expected = max(abs(one.score) for one in again.found)
    assert findings.find(run, "brackets", most=3).chance == pytest.approx(expected)


def test_a_still_unit_scores_nothing():
    found = findings.find(PlantedRun(TEXT), "line", most=100)
    still = next(one for one in found.found if one.unit == Unit(1, STILL + 1))
    assert (still.score, still.chosen) == (0, 0)
    json.dumps(found.to_dict(), allow_nan=False)


def test_half_of_the_text_has_no_say_in_the_choice():
    """Where the second half says something else, the choice stays and the score tells."""
    run = PlantedRun(TEXT)

    def changing(text):
        track = features.bracketed(text)
        track[len(text) // 2 :] = np.random.default_rng(0).integers(2, size=len(text) - len(text) // 2)
        return track

    found = findings.find(run, changing)
    assert found.best == Unit(1, FOLLOWS + 1)
    assert found.found[0].chosen > 0.99 and abs(found.found[0].score) < 0.2


@pytest.mark.parametrize(
    ("text", "which"),
    [
        ("a b " * 20, "first"),
        ("a b " * 20 + "(a) ", "first"),
        ("(a) " + "a b " * 20, "second"),
        ("((", "first"),
    ],
)
def test_a_text_without_the_feature(text, which):
    run = PlantedRun(TEXT)
    with pytest.raises(UsageError, match=f"feature brackets is constant in the {which} half of x"):
        findings.find(run, "brackets", Corpus.from_text(text, name="x"))


def test_bytes():
    raw = "é(“o”)\0\n".encode().decode("latin-1") * 40
    found = findings.find(PlantedRun(raw, tokens="byte"), "brackets")
    assert found.best == Unit(1, FOLLOWS + 1) and found.found[0].score > 0.99
    assert findings.find(PlantedRun(raw, tokens="byte"), "quotes").mean == pytest.approx(4 / 13)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"feature": "mood"}, "--find must be one of: quotes"),
        ({"most": 0}, "--most must be from 1"),
        ({"part": "gate"}, "--part must be one of: memory, hidden"),
        ({"feature": lambda text: [1]}, "one finite number for each"),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(UsageError, match=message):
        findings.find(PlantedRun(TEXT), **({"feature": "line"} | arguments))


def test_shows_itself(tiny_run):
    found = findings.find(tiny_run, "words", most=2)
    content = json.loads(json.dumps(found.to_dict()))
    assert [row["unit"] for row in content["found"]] == [str(one.unit) for one in found.found]
    assert set(content) == {
        "run", "source", "feature", "part", "characters", "unknown_characters", "mean", "chance",
        "found",
    }  # fmt: skip
    shown = str(found)
    assert shown.startswith("owl: units (memory) that follow words in the held-out tail of owl")
    assert f"{found.found[0].score:+.3f}" in shown and f"{found.chance:.3f}" in shown
    assert "<table>" in found._repr_html_()


def test_a_name_is_no_markup():
    found = findings.ProbeResult("<b>", "<i>", "<u>", "memory", 9, 0.5, 0.1, ())
    assert not {"<b>", "<i>", "<u>"} & {found._repr_html_()[at : at + 3] for at in range(999)}
