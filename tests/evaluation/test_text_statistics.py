import json
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.evaluation.text_statistics import COPIED, NOVEL, Count, Reference, loop, together

TRAINING = "The cat sat on the mat, and the Dog's bone lay there.\nDon't ask!"


def analysed(text, training=TRAINING):
    return Reference(training).analyse(text)


@pytest.mark.parametrize(
    ("text", "known", "words"),
    [
        (" the CAT flew. ", 2, 3),
        ("the cat flew on", 1, 2),  # the ends may be parts of words
        (" don't dog's dogs ", 2, 3),
        (" Don’t ", 0, 1),  # another sign than the training text's
        (" 12 _ -- ", 0, 0),
        ("", 0, 0),
    ],
)
def test_known_words(text, known, words):
    assert analysed(text).known_words == Count(known, words)


def test_scripts_without_spaces_count_by_character():
    assert analysed("。黛玉道：", "寶玉笑道：黛玉").known_words == Count(3, 3)
    assert analysed("。黛玉道x", "寶玉笑：黛").known_words == Count(2, 3)


def test_marks_belong_to_their_letters():
    assert analysed(" हिन्दी हन्दी ", "यह हिन्दी है").known_words == Count(1, 2)
    assert analysed(" cafe\u0301 cafe ", "le cafe\u0301 noir").known_words == Count(1, 2)
    assert analysed(" L\u0301’e\u0301te\u0301 ", "l\u0301’e\u0301te\u0301").known_words == Count(1, 1)
    assert analysed(" \u0301 ", "a").known_words == Count(0, 0)  # a mark on nothing


def test_distinct_words():
    first, second, third, fourth = analysed("a b a b a b").distinct
    assert (first, second, third, fourth) == (Count(2, 6), Count(2, 5), Count(2, 4), Count(2, 3))
    assert analysed("one").distinct[1:] == (Count(0, 0),) * 3


def test_repeated_passages():
    said = "sixteen letters!"
    assert len(said) == 16
    assert analysed(said).repeated == Count(0, 1)
    assert analysed(said + said).repeated == Count(1, 17)
    assert analysed("short").repeated == Count(0, 0)


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        ("begin" + " and the" * 8, " and the"),
        ("so" + " and the" * 8 + " end", " and the"),
        ("and the " * 7, None),  # 56 characters
        ("a" * 60, "a"),
        ("a" * 59, None),
        ("twenty five letters, yes" * 3, "twenty five letters, yes"),
        ("thirty letters and a bit more." * 2 + "thirty letters and", None),  # not three times
        ("ab" * 29 + "ac" + "ab" * 29, None),
        ("", None),
    ],
)
def test_loops(text, unit):
    assert loop(text) == unit


def slow_loop(text):
    for size in range(1, len(text) // 3 + 1):
        for start in range(len(text)):
            end = start + size
            while end < len(text) and text[end] == text[end - size]:
                end += 1
            if end - start >= max(60, 3 * size) and size <= 200:
                return text[start : start + size]
    return None


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from(["ab", "abc", "a", "ab" * 20, "abc" * 20, "b" * 30]), max_size=8))
def test_loops_are_those_of_brute_force(parts):
    text = "".join(parts)
    assert loop(text) == slow_loop(text)


def test_novelty_and_copies():
    copied = TRAINING[4:44]
    found = analysed("xyz" + copied + "xyz")
    assert found.copied == Count(40, 46)
    ((passage,),) = found.passages
    assert (passage.start, passage.length, passage.place) == (3, 40, 4)
    assert found.longest == 40
    assert found.novel[NOVEL.index(16)] == Count(46 - 15 - 25, 31)
    assert analysed(TRAINING).novel[0].part == 0
    assert analysed("x" * COPIED).longest == 0


def test_the_context_of_a_copy():
    reference = Reference(TRAINING + "\nHere it is: with many more than thirty letters.")
    ((copy,),) = reference.analyse("?with many more than thirty letters, or").passages
    assert reference.context(copy, 8) == ("e it is: "[1:], "with many more than thirty letters", ".", 3)


@settings(deadline=None)
@given(st.lists(st.text("abc '\n", max_size=80), min_size=1, max_size=4))
def test_together_adds_the_counts(texts):
    reference = Reference("abc ab a cab bac " * 5)
    parts = [reference.analyse(text) for text in texts]
    whole = together(parts)
    assert whole.characters == sum(map(len, texts))
    assert whole.known_words.whole == sum(part.known_words.whole for part in parts)
    assert whole.copied.part == sum(part.copied.part for part in parts)
    assert whole.novel[0].part == sum(part.novel[0].part for part in parts)
    assert len(whole.passages) == len(texts)
    assert json.loads(json.dumps(whole.to_dict())) == whole.to_dict()


def test_nothing_together_is_as_an_empty_text():
    nothing, empty = together([]).to_dict(), analysed("").to_dict()
    assert nothing == empty


def test_shares_of_nothing():
    assert math.isnan(Count(0, 0).share)
    assert analysed("").to_dict()["known_words"] is None
