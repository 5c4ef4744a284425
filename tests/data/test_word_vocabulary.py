import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.data.vocabulary import WordVocabulary, tokenize
from lstmega.errors import UsageError


def test_words_are_lower_case_and_signs_stand_alone():
    assert tokenize("It's U.S. oil—up 3%!") == [
        "it's",
        "u",
        ".",
        "s",
        ".",
        "oil",
        "—",
        "up",
        "3",
        "%",
        "!",
    ]


def test_the_most_frequent_come_first_and_rare_ones_are_unknown():
    vocabulary = WordVocabulary.of(["b a b", "A c"])
    assert vocabulary.words == ("a", "b")  # ties in order; c is there once
    assert vocabulary.encode("B x a").tolist() == [1, 2, 0]
    assert (len(vocabulary), vocabulary.unknown_id) == (3, 2)


def test_a_cap_keeps_the_most_frequent():
    assert WordVocabulary.of(["a a a b b c c"], max_size=3).words == ("a", "b")


def test_where_every_word_is_rare_none_is_left_out():
    assert WordVocabulary.of(["a b"]).words == ("a", "b")


def test_a_text_without_words_is_unknown():
    assert WordVocabulary(("a",)).encode(" ").tolist() == [1]


@given(st.lists(st.text(min_size=1, max_size=9), min_size=1, max_size=9))
def test_json_and_back(texts):
    words = dict.fromkeys(word for text in texts for word in tokenize(text))
    if words:
        vocabulary = WordVocabulary(tuple(words))
        again = WordVocabulary.from_json(json.loads(json.dumps(vocabulary.to_json())))
        assert again == vocabulary
        assert again.sha256 == vocabulary.sha256


@pytest.mark.parametrize(
    "content",
    [
        None,
        {"kind": "word"},
        {"kind": "word", "words": []},
        {"kind": "word", "words": ["a", "a"]},
        {"kind": "word", "words": [1]},
        {"kind": "word", "words": [""]},
        {"kind": "word", "words": ["x" * 101]},
        {"kind": "word", "words": ["a"], "more": 1},
    ],
)
def test_json_is_not_believed(content):
    with pytest.raises(UsageError):
        WordVocabulary.from_json(content)
