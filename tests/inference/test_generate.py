import json
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.config.generation import GenerationConfig
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import PromptError, UsageError
from lstmega.inference import generate as sampling
from lstmega.inference.generate import TextGenerator, excerpt, opening
from lstmega.inference.outputs import Sample, Samples
from tests.scripted import LETTERS, Fair, FakeRun, real_run, spelling

FIELDS = GenerationConfig.__dataclass_fields__


def sorted_out(arguments):
    """Return arguments of `sample`, those of `GenerationConfig` among them in their place."""
    options = GenerationConfig.of({name: value for name, value in arguments.items() if name in FIELDS})
    return {name: value for name, value in arguments.items() if name not in FIELDS} | {"config": options}


def sample(run, **arguments):
    return sampling.sample(run, **sorted_out(arguments))


def stream(run, temperature=0.8, **arguments):
    temperatures = temperature if isinstance(temperature, list) else [temperature]
    return sampling.stream(run, temperatures=temperatures, **sorted_out(arguments))


def texts(run, **arguments):
    return {
        (found.temperature, number): found.text
        for number, found in enumerate(sample(run, prompt="a", length=1000, **arguments))
    }


@pytest.mark.parametrize("run", [FakeRun(Fair(len(LETTERS))), real_run()], ids=["exact", "real"])
def test_a_text_does_not_depend_on_what_else_is_asked_for(run):
    alone = sample(run, prompt="a", length=1000, temperatures=[0.8], seed=7)[0].text
    assert len(alone) == 1000
    many = sample(run, prompt="a", length=1000, temperatures=[0.1, 1.5, 0.8, 0.9], num_samples=3, seed=7)
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
    free = sample(run, prompt="", num_samples=4, seed=3)
    ended = sample(run, prompt="", num_samples=4, seed=3, stop="q")
    assert [found.text for found in ended] == [found.text.split("q")[0] for found in free]


@pytest.mark.parametrize(
    ("said", "stops", "text"),
    [
        ("one two three", ("three", "two"), "one "),
        ("abcd", ("bc", "abcx"), "a"),
        ("abcd", ("cdx", "d"), "abc"),
    ],
)
def test_the_first_of_several_stop_texts_ends_a_text(said, stops, text):
    assert sample(spelling(said), prompt="", stop=stops)[0].text == text
    assert "".join(stream(spelling(said), prompt="", stop=stops)) == text


def test_a_text_ends_after_its_lines():
    run = spelling("one\n\ntwo\nthree\n")
    assert sample(run, prompt="", lines=3)[0].text == "one\n\ntwo"
    assert "".join(stream(run, prompt="", lines=1)) == "one"
    assert sample(run, prompt="", lines=2, length=3)[0].text == "one"


def test_costs_are_those_of_the_model_at_temperature_1():
    run = real_run()
    found = sample(run, prompt="ab", length=40, temperatures=[0.5, 2.0], top_k=5, seed=3, scored=True)
    for item in found:
        logits = run.decoder().logits(LETTERS.encode("ab" + item.text))[1:-1].astype(np.float64)
        costs = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(40), LETTERS.encode(item.text)]
        np.testing.assert_allclose(item.nats, costs, atol=1e-4)
    ended = sample(
        run, prompt="ab", length=40, temperatures=[2.0], top_k=5, seed=3, scored=True, stop="e"
    )
    assert len(ended[0].nats) == len(ended[0].text) < 40
    assert sample(run, prompt="ab", length=4)[0].nats is None


def test_texts_go_on_from_a_position_that_was_read_once():
    run = real_run()
    desk = TextGenerator(run, [0.5, 0.9])
    ids, start = opening(run, "once upon", 3, "error")
    position = desk.read(ids)
    first = desk.write(position, start, length=20)
    assert [s.text for s in first] == [
        s.text for s in sample(run, prompt="once upon", length=20, seed=3, temperatures=[0.5, 0.9])
    ]
    further = desk.read(LETTERS.encode(first[1].text), after=position)
    after = sample(run, prompt="once upon" + first[1].text, length=20, seed=3, temperatures=[0.5, 0.9])
    assert [s.text for s in desk.write(further, start, length=20)] == [s.text for s in after]


def test_temperatures_may_vary_within_a_text():
    run = FakeRun(Fair(len(LETTERS), [4], 3.0))
    found = sample(
        run, prompt="", temperatures=[0, 50.0], vary="char", length=200, seed=1, num_samples=3
    )
    assert len(found) == 3
    assert set(found[0].text[::2]) == {LETTERS.characters[4]}
    assert len(set(found[0].text[1::2])) > 5
    assert "".join(stream(run, [0, 50.0], prompt="", vary="char", length=200, seed=1)) == found[0].text
    with pytest.raises(UsageError, match="temperatures must be one"):
        stream(run, [0.5, 0.8], prompt="")


def test_no_passage_of_the_training_text_is_copied_beyond_the_limit():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abcdefgh"), rng.integers(2, 6))) for _ in range(60)]
    training = " ".join(rng.choice(words, 4000))
    run = FakeRun(Parrot(training))
    index = TextIndex(training)
    free = sample(run, prompt="a", temperatures=[0.5], length=300, seed=0)[0].text
    assert index.matches(free).lengths.max() > 100
    for most in (1, 5, 20):
        bound = sample(
            run, prompt="a", temperatures=[0.5, 1.0], length=300, seed=0, no_copy=most, training=index
        )
        for item in bound:
            assert index.matches("a" + item.text).lengths.max(initial=0) <= most
    with pytest.raises(UsageError, match="--no-copy needs the training text"):
        sample(run, prompt="a", no_copy=5)


class Parrot:
    """Favours what stands behind the place that it has come to in a text."""

    def __init__(self, text):
        self.ids = LETTERS.encode(text)

    def zero_states(self, rows):
        return ((np.zeros((1, rows), np.float32),),)

    def read(self, ids, states):
        return self.step(ids[-1:], states)

    def step(self, ids, states):
        ((place,),) = states
        place = (place + 1) % len(self.ids)
        logits = np.zeros((place.shape[1], len(LETTERS)), np.float32)
        logits[np.arange(len(logits)), self.ids[place[0].astype(int)]] = 9.0
        return logits, ((place.astype(np.float32),),)


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
    sample(run, prompt="word " * 100, length=3, num_samples=5)
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
        *(({"num_samples": value}, "--num-samples") for value in (0, -1, 10**9, 2.0)),
        *(({"seed": value}, "--seed") for value in (-1, 2**63, 0.5, "x")),
        *(
            ({"temperatures": value}, "--temps")
            for value in ([], [-1], [float("nan")], [float("inf")], ["warm"], [0.5] * 1001)
        ),
        *(({"temperatures": value}, "temperatures") for value in ("0.5", 0.5)),
        *(({"stop": value}, "--stop") for value in ("", 3, ("a", ""))),
        ({"top_k": 0}, "--top-k"),
        ({"unknown": "guess"}, "--unknown"),
        ({"prompt": 3}, "--prompt"),
        ({"prompt": b"x"}, "--prompt"),
    ],
)
def test_bad_arguments_name_the_flag(arguments, flag):
    with pytest.raises(UsageError, match=rf"{flag} must be .*Received: "):
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


def test_costs_of_no_tokens_are_no_costs():
    [found] = sample(spelling("ab"), temperatures=[0.5], prompt="b", length=0, seed=1, scored=True)
    assert found.text == "" and found.nats.shape == (0,)


def test_samples_are_a_sequence_that_json_takes():
    found = sample(spelling("ab"), prompt="b", length=2, seed=1)
    assert json.loads(json.dumps(found.to_dicts())) == [
        {"run": "fake", "temperature": t, "seed": 1, "prompt": "b", "text": "ab", "ngram_share": None}
        for t in (0.5, 0.8)
    ]
    assert isinstance(found[:1], Samples)
    assert found[:1].to_dicts() == [found[0].to_dict()]
    assert len(found) == 2
    assert repr(found) == str(found)


def test_a_terminal_is_safe_from_texts():
    shown = str(Samples([Sample("r", 0.5, 1, "a\n", "\x1b[2Jb\t\u202ec\ud800é犬", True)]))
    assert shown == (
        "r: temperature 0.5, seed 1, prompt from the held-out text\na\n\\x1b[2Jb\t\\u202ec\\ud800é犬"
    )
    shown.encode()


def test_html_is_escaped_and_grouped_by_temperature():
    samples = Samples(Sample("<r>", t, 1, "<p>&", "<script>\x1b") for t in (0.5, 0.5, 0.8))
    shown = samples._repr_html_()
    assert shown.count("<div>") == 2
    assert shown.count("&lt;p&gt;&amp;</span>&lt;script&gt;\\x1b</pre>") == 3
    assert "<script" not in shown
    assert "<r>" not in shown
    assert Samples([])._repr_html_() == str(Samples([])) == ""


class TestRunsOfLines:
    """Each line is a text of its own: it begins behind a line end and ends with one."""

    @pytest.fixture
    def run(self):
        run = spelling("ann\nbob\n")
        run.lines = True
        return run

    def test_a_text_is_a_line(self, run):
        assert [found.text for found in sample(run, num_samples=2, temperatures=[0.5])] == ["ann", "ann"]
        assert "".join(stream(run)) == "ann"

    def test_it_begins_behind_a_line_end_with_the_prompt(self, run):
        assert sample(run, prompt="jo", temperatures=[0])[0].prompt == "jo"
        assert run.decoder().read_ids == LETTERS.encode("\njo").tolist()

    def test_held_out_lines_are_no_prompt(self, run):
        run.held_out = "zoe\n"
        [found] = sample(run, temperatures=[0])
        assert (found.prompt, found.prompt_is_excerpt) == ("", False)

    def test_more_lines_where_they_are_asked_for(self, run):
        assert sample(run, lines=3, temperatures=[0])[0].text == "ann\nbob\nann"

    def test_what_is_required_stands_in_the_line(self):
        run = FakeRun(Fair(len(LETTERS)))
        run.lines = True
        for found in sample(
            run, prompt="", require="ann", length=12, num_samples=20, temperatures=[1.0]
        ):
            assert "ann" in found.text
            assert "\n" not in found.text

    def test_an_acrostic_has_several(self, run):
        with pytest.raises(UsageError, match="--acrostic needs several lines"):
            sample(run, acrostic="ab")
