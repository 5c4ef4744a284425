"""Constraints as a sampler meets them: their distribution, their ends, their conflicts."""

import re
from collections import Counter
from itertools import product

import numpy as np
import pytest

from lstmega.config.generation import GenerationConfig
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import UsageError
from lstmega.inference.generate import sample
from tests.scripted import Fair, FakeRun, real_run


def texts(run, num_samples=200, length=12, seed=0, temperature=1.0, **options):
    found = sample(
        run,
        prompt="a",
        temperatures=[temperature],
        num_samples=num_samples,
        length=length,
        seed=seed,
        config=GenerationConfig(**options),
    )
    return [item.text for item in found]


def expected(run, length, accepts, temperature):
    """Return each text's probability: at each place what can still be accepted, renormalised."""
    characters = run.vocabulary.characters
    alive = {
        text[:size]
        for most in range(length + 1)
        for text in map("".join, product(characters, repeat=most))
        if accepts(text)
        for size in range(most + 1)
    }
    chances = {"": 1.0}
    done = Counter()
    for place in range(length + 1):
        for text, chance in chances.items():
            following = [c for c in characters if place < length and text + c in alive]
            if not following:
                done[text] += chance
        grown = {}
        for text, chance in chances.items():
            following = [c for c in characters if place < length and text + c in alive]
            logits = run.decoder().logits(run.vocabulary.encode("a" + text))[-1].astype(np.float64)
            weights = np.exp(logits / temperature)[[characters.index(c) for c in following]]
            for character, weight in zip(following, weights / weights.sum(), strict=True):
                grown[text + character] = chance * weight
        chances = grown
    return done


SMALL = Vocabulary("\nab")


@pytest.fixture(scope="module")
def small_run():
    return real_run(units=6, vocabulary=SMALL)


@pytest.mark.parametrize(
    ("options", "accepts"),
    [
        ({"regex": "(ab|b+a)a?"}, lambda text: re.fullmatch("(ab|b+a)a?", text)),
        ({"require": ("ba",)}, lambda text: "ba" in text),
        ({"ban": ("aa", "\n")}, lambda text: "aa" not in text and "\n" not in text),
        (
            {"regex": "[ab]*", "ban": ("bb",), "require": ("ab",)},
            lambda text: "ab" in text and "bb" not in text and "\n" not in text,
        ),
    ],
)
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_a_constraint_has_the_distribution_of_exact_enumeration(
    small_run, options, accepts, temperature
):
    length, times = 4, 4000
    chances = expected(small_run, length, accepts, temperature)
    assert sum(chances.values()) == pytest.approx(1)
    counts = Counter(texts(small_run, times, length, temperature=temperature, **options))
    assert counts.keys() <= chances.keys()
    likely = [text for text in chances if chances[text] * times > 5]
    chi_square = sum((counts[t] - times * chances[t]) ** 2 / (times * chances[t]) for t in likely)
    assert chi_square < len(likely) + 5 * np.sqrt(2 * len(likely))
    assert len(likely) > 2


def test_every_text_is_what_was_asked_for():
    run = real_run()
    for text in texts(run, regex="([a-z]{2,5} ){2}[a-z]+", length=20):
        assert re.fullmatch("([a-z]{2,5} ){2}[a-z]+", text)
    for text in texts(run, acrostic="cat", length=300, num_samples=20):
        lines = text.split("\n")
        assert [line[:1] for line in lines] == list("cat")
        assert max(map(len, lines)) <= 80
    for text in texts(run, require=("xyz", "qq"), ban=("e", "th"), length=30):
        assert "xyz" in text
        assert "qq" in text
        assert "e" not in text
        assert "th" not in text


def test_a_text_ends_where_nothing_may_follow():
    assert set(texts(real_run(), regex="yes|no", length=30)) <= {"yes", "no"}


def test_rules_work_together():
    run = FakeRun(Fair(29))
    for text in texts(
        run,
        regex="[a-h]*",
        no_repeat_ngram=2,
        top_k=20,
        repetition_penalty=1.2,
        length=30,
        num_samples=20,
    ):
        assert re.fullmatch("[a-h]*", text)
        pairs = [text[at : at + 2] for at in range(len(text) - 1)]
        assert len(set(pairs)) == len(pairs)


def test_no_repeat_yields_where_nothing_else_may_follow():
    assert texts(FakeRun(Fair(29)), regex="a*", no_repeat_ngram=1, length=5, num_samples=1) == ["aaaaa"]


def test_the_unknown_token_is_never_written_whatever_is_asked_for():
    run = FakeRun(Fair(3, [2], 50.0), Vocabulary("ab", has_unknown=True))
    assert set("".join(texts(run, regex=".*", length=20, num_samples=5))) == {"a", "b"}


@pytest.mark.parametrize(
    ("options", "length", "said"),
    [
        ({"regex": "a{9}"}, 8, "--length must be at least 9"),
        ({"require": ("long enough",)}, 3, "--length must be at least 11"),
        ({"regex": "a("}, 8, "a("),
        ({"regex": "[0-9]+"}, 8, "[0-9]+"),
        ({"require": ("É",)}, 8, "É"),
        ({"regex": "b+", "require": ("a",)}, 8, "Received"),
    ],
)
def test_what_no_text_can_be_is_refused(options, length, said):
    with pytest.raises(UsageError, match=re.escape(said)):
        texts(real_run(), length=length, **options)


def test_runs_of_bytes_take_texts_but_no_expressions():
    said = "né"
    vocabulary = Vocabulary.of(said.encode().decode("latin-1"), kind="byte")
    run = FakeRun(Fair(len(vocabulary)), vocabulary)
    (found,) = sample(
        run, prompt="n", temperatures=[1.0], length=5, seed=0, config=GenerationConfig(require=("é",))
    )
    assert "é" in found.text
    with pytest.raises(UsageError, match="--regex applies to characters"):
        sample(run, prompt="n", config=GenerationConfig(regex="n+"))
