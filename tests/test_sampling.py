import json
from collections import Counter
from itertools import islice

import numpy as np
import oracles
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.decoder import Decoder
from lstmega.errors import PromptError, UsageError
from lstmega.options import ModelOptions
from lstmega.sampling import (
    Filters,
    Sample,
    Samples,
    choose,
    columns,
    excerpt,
    parse_temperatures,
    sample,
    stream,
)
from lstmega.vocabulary import Vocabulary

LETTERS = Vocabulary("\n abcdefghijklmnopqrstuvwxyz")


class Scripted:
    """Spells a text for ever whatever it reads; its state is the place in the text, per row."""

    def __init__(self, ids, size):
        self.ids, self.size, self.read_ids = np.asarray(ids), size, []

    def zero_states(self, rows):
        return ((np.zeros((1, rows), np.float32),),)

    def read(self, ids, states):
        self.read_ids += list(ids)
        return self._logits(states), states

    def step(self, ids, states):
        ((place,),) = states
        states = ((place + 1,),)
        return self._logits(states), states

    def _logits(self, states):
        place = states[0][0][0].astype(int) % len(self.ids)
        return np.where(np.arange(self.size) == self.ids[place][:, np.newaxis], 0, -1e4).astype(
            np.float32
        )


class Fair:
    """Gives every id but the favoured the same logit, always: draws are as random as they get."""

    def __init__(self, size, favoured=(), by=0.0):
        self.row = np.zeros(size, np.float32)
        self.row[list(favoured)] = by

    def zero_states(self, rows):
        return ((np.zeros((1, rows), np.float32),),)

    def read(self, ids, states):
        return np.tile(self.row, (states[0][0].shape[1], 1)), states

    def step(self, ids, states):
        return self.read(ids, states)


class FakeRun:
    name = "fake"

    def __init__(self, decoder, vocabulary=LETTERS, held_out=""):
        self._decoder, self.vocabulary, self.held_out = decoder, vocabulary, held_out

    def decoder(self):
        return self._decoder


def spelling(text, vocabulary=LETTERS, **more):
    ids = vocabulary.encode(vocabulary.from_user(text))
    return FakeRun(Scripted(ids, len(vocabulary)), vocabulary, **more)


def real_run(units=64, seed=0, scale=1.5):
    options = ModelOptions(units=units, embedding=16)
    rng = np.random.default_rng(seed)
    weights = {
        name: rng.normal(0, scale / np.sqrt(shape[0]), shape).astype(np.float32)
        for name, shape in options.weight_shapes(len(LETTERS)).items()
    }
    return FakeRun(Decoder(options, weights))


# Temperatures.


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.5,0.8", (0.5, 0.8)),
        ("0", (0.0,)),
        ("1e-9, 1e30", (1e-9, 1e30)),
        ("0.2:1.4:0.2", (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)),
        ("0.1:1:0.1", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)),
        ("0.2:1.1:0.4", (0.2, 0.6, 1.0)),
        ("0.7:0.7:1", (0.7,)),
        ("0,0.5:1:0.25,0.5", (0.0, 0.5, 0.75, 1.0, 0.5)),
        (" 0.5 , 0.6 : 0.8 : 0.1 ", (0.5, 0.6, 0.7, 0.8)),
        ("0.001:1:0.001", tuple(number / 1000 for number in range(1, 1001))),
    ],
)
def test_temperatures(text, expected):
    assert parse_temperatures(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "0.5,", "warm", "0.5;0.8", "-1", "-0.1:1:0.1", "nan", "inf", "-inf", "sNaN"),
        *("1e400", "0.2:1.4", "0.2:1.4:0.2:1", "1.4:0.2:0.2", "0.2:1.4:0", "0.2:1.4:-0.2"),
        *("0:1:nan", "0:inf:1", "0:1:0.0001", "0:1e300:1e-300", "0:1:0.001", "0.5," * 1000 + "1"),
        *("1e999999999999999999", "0:1:1e-999999"),
    ],
)
def test_bad_temperatures(text):
    with pytest.raises(UsageError, match=r"(?s)--temps .*Received: .*Accepted: .*0\.2:1\.4:0\.2"):
        parse_temperatures(text)


# Filters.


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.sampled_from([-3.0, -1.5, -0.5, 0.0, 0.25, 1.0, 2.0]), min_size=7, max_size=7),
        min_size=1,
        max_size=4,
    ),
    k=st.none() | st.integers(1, 9),
    p=st.none() | st.floats(0.013, 0.987),
    least=st.none() | st.floats(0.013, 0.987),
)
def test_filters_keep_what_the_oracle_keeps(rows, k, p, least):
    logits = np.array(rows)
    before = logits.copy()
    filtered = Filters(k, p, least).apply(logits)
    np.testing.assert_array_equal(logits, before)
    for row, result in zip(rows, filtered, strict=True):
        kept = {number for number in range(7) if np.isfinite(result[number])}
        assert kept == oracles.kept(row, k=k, p=p, least=least)
        assert all(result[number] == row[number] for number in kept)


def test_filters_at_their_ends():
    logits = np.array([[0.0, -800.0, 0.0, -1.0]])
    for everything in (Filters(), Filters(top_k=99), Filters(top_p=1), Filters(min_p=0)):
        np.testing.assert_array_equal(everything.apply(logits), logits)
    for one in (Filters(top_k=1), Filters(top_p=1e-9)):  # the lower id wins the tie
        np.testing.assert_array_equal(np.isfinite(one.apply(logits)), [[True, False, False, False]])
    both = Filters(min_p=1).apply(logits)
    np.testing.assert_array_equal(np.isfinite(both), [[True, False, True, False]])


def test_filters_are_applied_in_order():
    """Top-p counts its share of what top-k left: 0.55 of {0.5, 0.3} is the first alone."""
    logits = np.log([[0.5, 0.3, 0.2]])
    kept = np.isfinite(Filters(top_k=2, top_p=0.55).apply(logits))
    np.testing.assert_array_equal(kept, [[True, False, False]])
    assert np.isfinite(Filters(top_p=0.55).apply(logits)).sum() == 2


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        *(({"top_k": value}, "--top-k") for value in (0, -1, 1.5, True, "2")),
        *(({"top_p": value}, "--top-p") for value in (0, -0.1, 1.1, float("nan"), "x", True)),
        *(({"min_p": value}, "--min-p") for value in (-0.1, 1.1, float("inf"), float("nan"))),
    ],
)
def test_bad_filters(arguments, flag):
    with pytest.raises(UsageError, match=rf"{flag} .*Received: .*Accepted: "):
        Filters(**arguments)


# Choosing.


def draw(row, temperature, times, filters=None, seed=0):
    """Return how often each id is drawn."""
    logits = np.tile(np.array(row, np.float32), (times, 1))
    generator = np.random.default_rng(seed)
    ids = choose(logits, np.full(times, temperature), filters or Filters(), [generator] * times)
    return np.bincount(ids, minlength=len(row))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("filters", [Filters(), Filters(4, 0.9, 0.1)])
def test_choose_has_the_softmax_distribution(temperature, filters):
    row, times = [0.3, -1.0, 2.0, 1.5, -4.0, 0.0], 40_000
    counts = draw(row, temperature, times, filters)
    scaled = [value / temperature for value in row]
    kept = sorted(oracles.kept(scaled, k=filters.top_k, p=filters.top_p, least=filters.min_p))
    expected = times * np.array(oracles.softmax([scaled[number] for number in kept]))
    assert counts.sum() == counts[kept].sum() == times
    chi_square = ((counts[kept] - expected) ** 2 / expected).sum()
    # Mean n - 1 and variance 2 (n - 1): five standard deviations, with a fixed seed.
    assert chi_square < (len(kept) - 1) + 5 * np.sqrt(2 * (len(kept) - 1))


def test_choose_agrees_with_the_plain_sampler():
    row, times = [0.0, 1.0, -1.0, 0.5], 20_000
    generator = np.random.default_rng(5)
    plain = Counter(oracles.sample(row, 0.7, generator, k=3) for _ in range(times))
    fast = draw(row, 0.7, times, Filters(top_k=3))
    for number in range(4):
        assert abs(plain[number] - fast[number]) < 5 * np.sqrt(times / 2)


def test_extreme_temperatures_are_finite_and_right():
    row = [1.0, 3.0, 3.0 - 1e-5, -1e30]
    for cold in (0, 1e-9, 5e-324):
        assert draw(row, cold, 200)[1] == 200
    hot = draw(row[:3], 1e30, 3000)
    assert hot.min() > 850
    assert draw([2.0, 2.0, 1.0], 0, 50).tolist() == [50, 0, 0]  # the lowest id wins the tie
    assert min(draw([2.0, 2.0, 1.0], 1e-9, 200)[:2]) > 60


def test_each_row_has_its_own_temperature_and_generator():
    logits = np.tile(np.array([0.0, 0.1, 0.2], np.float32), (3, 1))
    generators = [np.random.default_rng(seed) for seed in (1, 2, 1)]
    temperatures = np.array([1.0, 0.0, 1.0])
    ids = np.array([choose(logits, temperatures, Filters(), generators) for _ in range(50)])
    assert (ids[:, 1] == 2).all()
    np.testing.assert_array_equal(ids[:, 0], ids[:, 2])
    assert len(set(ids[:, 0])) == 3


def test_choose_leaves_its_arguments_alone():
    logits = np.array([[1.0, 2.0]], np.float32)
    logits.setflags(write=False)
    choose(logits, np.array([0.5]), Filters(1, 0.5, 0.5), [np.random.default_rng(0)])


# The engine.


def test_columns_never_end_and_read_the_prompt_once():
    decoder = Scripted([3, 1, 2], 5)
    found = columns(decoder, np.array([4, 4]), temperatures=[0.0, 1.0], seed=0)
    assert np.array(list(islice(found, 7))).T.tolist() == [[3, 1, 2, 3, 1, 2, 3]] * 2
    assert decoder.read_ids == [4, 4]


def test_forbidden_ids_are_never_drawn():
    found = columns(Fair(4, [2], 9.0), np.array([0]), temperatures=[0, 1], seed=0, forbidden=[2])
    assert set(np.array(list(islice(found, 300))).ravel()) == {0, 1, 3}


def texts(run, **arguments):
    return {
        (found.temperature, number): found.text
        for number, found in enumerate(sample(run, prompt="a", length=1000, **arguments))
    }


@pytest.mark.parametrize("run", [FakeRun(Fair(len(LETTERS))), real_run()], ids=["exact", "real"])
def test_a_text_does_not_depend_on_what_else_is_asked_for(run):
    alone = sample(run, prompt="a", length=1000, temperatures=[0.8], seed=7)[0].text
    assert len(alone) == 1000
    many = sample(run, prompt="a", length=1000, temperatures=[0.1, 1.5, 0.8, 0.9], count=3, seed=7)
    assert [found.temperature for found in many] == [0.1] * 3 + [1.5] * 3 + [0.8] * 3 + [0.9] * 3
    assert many[6].text == alone
    assert "".join(stream(run, prompt="a", temperature=0.8, seed=7)) == alone
    assert len({found.text for found in many[3:]}) == 9  # temperatures and repeats differ
    twice = sample(run, prompt="a", length=1000, temperatures=[0.8, 0.8], seed=7)
    assert [found.text for found in twice] == [found.text for found in many[6:8]]


def test_the_seed_decides():
    run = FakeRun(Fair(len(LETTERS)))
    first, again, other = (
        [found.text for found in sample(run, prompt="", seed=seed)] for seed in (1, 1, 2)
    )
    assert first == again != other
    fresh = sample(run, prompt="")
    assert [s.text for s in sample(run, prompt="", seed=fresh[0].seed)] == [s.text for s in fresh]
    assert fresh[0].seed != sample(run, prompt="")[0].seed
    for seed in (0, 2**63 - 1, np.int64(3)):
        assert sample(run, prompt="", length=1, seed=seed)[0].seed == seed


# Text.


def test_a_scripted_decoder_spells_a_word():
    found = sample(spelling("so it goes\n"), prompt="and ", length=21, seed=0)
    assert [s.text for s in found] == ["so it goes\nso it goes"] * 2
    assert found[0] == Sample("fake", 0.5, 0, "and ", "so it goes\nso it goes")
    pieces = stream(spelling("so it goes\n"), prompt="and ", length=4)
    assert list(pieces) == ["s", "o", " ", "i"]
    assert pieces.start.prompt == "and "


def test_no_length_streams_for_ever_and_a_huge_one_starts_at_once():
    for length in (None, 10**9):
        pieces = stream(spelling("ab"), prompt="", length=length)
        assert "".join(islice(pieces, 5)) == "ababa"
    assert sample(spelling("ab"), prompt="", length=0)[0].text == ""
    assert list(stream(spelling("ab"), prompt="", length=0)) == []


@pytest.mark.parametrize(
    ("said", "stop", "text", "pieces"),
    [
        ("one two three", "two", "one ", ["o", "n", "e", " "]),
        ("one two three", " th", "one two", ["o", "n", "e", " tw", "o"]),
        ("aab", "ab", "a", ["a"]),
        ("ababac", "abac", "ab", ["ab"]),
        ("stop", "s", "", []),
    ],
)
def test_the_stop_text_ends_a_text_and_its_beginning_waits(said, stop, text, pieces):
    assert sample(spelling(said), prompt="", stop=stop)[0].text == text
    assert list(stream(spelling(said), prompt="", stop=stop)) == pieces


def test_what_was_held_back_comes_out_at_the_end():
    assert "".join(stream(spelling("abcd"), prompt="", length=6, stop="abx")) == "abcdab"
    assert sample(spelling("abcd"), prompt="", length=6, stop="abx")[0].text == "abcdab"


def test_rows_end_at_their_own_stop_text():
    run = FakeRun(Fair(len(LETTERS)))
    free = sample(run, prompt="", count=4, seed=3)
    ended = sample(run, prompt="", count=4, seed=3, stop="q")
    assert [found.text for found in ended] == [found.text.split("q")[0] for found in free]


def test_bytes_come_out_as_characters():
    said = "né 犬"
    vocabulary = Vocabulary.of(said.encode().decode("latin-1"), kind="byte")
    run = spelling(said, vocabulary, held_out=said.encode().decode("latin-1"))
    assert sample(run, prompt="né", length=7)[0].text == said
    assert sample(run, prompt="", length=5)[0].text == "né \N{REPLACEMENT CHARACTER}"
    assert list(stream(run, prompt="", length=7)) == list(said)
    assert sample(run, length=1)[0].prompt == said
    assert sample(run, prompt="", stop="犬")[0].text == "né "


# Prompts.


def test_an_empty_prompt_starts_at_a_line():
    run = spelling("x")
    found = sample(run, prompt="", length=1)[0]
    assert (found.prompt, found.prompt_is_excerpt) == ("", False)
    assert run.decoder().read_ids == [LETTERS.encode("\n")[0]]
    run = spelling("c", Vocabulary("bc"))
    sample(run, length=1)  # no prompt, and nothing held out
    assert run.decoder().read_ids == [0]


def test_without_a_prompt_an_excerpt_is_read():
    held_out = "the quick brown fox jumps over the lazy dog\n" * 20
    run = spelling("x", held_out=held_out)
    found = sample(run, length=1, seed=4)[0]
    assert found.prompt == excerpt(held_out, 4)
    assert found.prompt_is_excerpt
    assert LETTERS.decode(run.decoder().read_ids) == found.prompt
    assert stream(run, seed=4).start.prompt == found.prompt


def test_a_long_prompt_is_read_once_and_whole():
    run = spelling("x")
    sample(run, prompt="word " * 100, length=3, count=5)
    assert len(run.decoder().read_ids) == 500


def test_unknown_characters_in_a_prompt():
    with pytest.raises(PromptError, match=r"'É' \(U\+00C9\)"):
        sample(spelling("x"), prompt="École")
    with pytest.raises(PromptError):
        stream(spelling("x"), prompt="École")  # before the first piece is asked for
    for policy, read in (("skip", "cole"), ("fold", "ecole")):
        run = spelling("x")
        assert sample(run, prompt="École", length=1, unknown=policy)[0].prompt == "École"
        assert LETTERS.decode(run.decoder().read_ids) == read
    run = spelling("x")
    sample(run, prompt="ÉÉ", length=1, unknown="skip")  # nothing is left: as an empty prompt
    assert LETTERS.decode(run.decoder().read_ids) == "\n"


def test_the_unknown_token_is_read_but_never_written():
    vocabulary = Vocabulary("ab", has_unknown=True)
    run = FakeRun(Fair(3, [2], 50.0), vocabulary, held_out="axb")
    found = sample(run, temperatures=[0, 1.0], length=100)
    assert set(found[0].text + found[1].text) == {"a", "b"}
    assert found[0].prompt == "a\N{REPLACEMENT CHARACTER}b"


@settings(deadline=None)
@given(st.text(st.sampled_from("ab \n"), max_size=200), st.integers(0, 99), st.integers(0, 120))
def test_an_excerpt_is_a_part_of_its_text(text, seed, length):
    found = excerpt(text, seed, length)
    assert found in text
    assert len(found) == min(length, len(text))
    assert found == excerpt(text, seed, length)


def test_an_excerpt_starts_where_a_reader_would():
    lines = "an old man sat\n\nby the fire and\n" * 50
    assert {excerpt(lines, seed)[:6] for seed in range(30)} == {"an old", "by the"}
    words = "and again " * 100
    assert {excerpt(words, seed)[:4] for seed in range(30)} == {"and ", "agai"}


# Arguments.


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        *(({"length": value}, "--length") for value in (-1, 1.5, "9", True)),
        *(({"count": value}, "--count") for value in (0, -1, 10**9, 2.0)),
        *(({"seed": value}, "--seed") for value in (-1, 2**63, 0.5, "x")),
        *(
            ({"temperatures": value}, "--temps")
            for value in ([], [-1], [float("nan")], [float("inf")], ["warm"], [0.5] * 1001)
        ),
        *(({"temperatures": value}, "temperatures") for value in ("0.5", 0.5)),
        *(({"stop": value}, "--stop") for value in ("", 3)),
        ({"top_k": 0}, "--top-k"),
        ({"unknown": "guess"}, "--unknown"),
        ({"prompt": 3}, "--prompt"),
        ({"prompt": b"x"}, "--prompt"),
    ],
)
def test_bad_arguments_name_the_flag(arguments, flag):
    with pytest.raises(UsageError, match=rf"{flag} .*Received: .*Accepted: "):
        sample(spelling("x"), **({"prompt": "a"} | arguments))


def test_stream_checks_before_its_first_piece():
    for arguments in ({"temperature": -1}, {"length": -1}, {"top_p": 2}, {"seed": -1}):
        with pytest.raises(UsageError):
            stream(spelling("x"), prompt="a", **arguments)


def test_temperatures_may_be_any_numbers():
    found = sample(spelling("x"), prompt="", length=1, temperatures=np.array([0, 1]))
    assert json.dumps(found.to_dicts())
    assert [s.temperature for s in found] == [0.0, 1.0]


# Display.


def test_samples_are_a_sequence_that_json_takes():
    found = sample(spelling("ab"), prompt="b", length=2, seed=1)
    assert json.loads(json.dumps(found.to_dicts())) == [
        {"run": "fake", "temperature": t, "seed": 1, "prompt": "b", "text": "ab"} for t in (0.5, 0.8)
    ]
    assert isinstance(found[:1], Samples)
    assert found[:1].to_dicts() == [found[0].to_dict()]
    assert len(found) == 2
    assert repr(found) == "<Samples: 2 of ['fake']>"


def test_a_terminal_is_safe_from_texts():
    shown = str(Samples([Sample("r", 0.5, 1, "a\n", "\x1b[2Jb\t\u202ec\ud800é犬", True)]))
    assert shown == (
        "r: temperature 0.5, seed 1, prompt from the held-out text\na\n\\u001b[2Jb\t\\u202ec\\ud800é犬"
    )
    shown.encode()


def test_html_is_escaped_and_grouped_by_temperature():
    samples = Samples(Sample("<r>", t, 1, "<p>&", "<script>\x1b") for t in (0.5, 0.5, 0.8))
    shown = samples._repr_html_()
    assert shown.count("<div>") == 2
    assert shown.count("&lt;p&gt;&amp;</span>&lt;script&gt;\\u001b</pre>") == 3
    assert "<script" not in shown
    assert "<r>" not in shown
    assert Samples([])._repr_html_() == str(Samples([])) == ""
