from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstmega.data import suffix_array as copies
from lstmega.data.suffix_array import Copy, TextIndex, cover
from lstmega.errors import UsageError

WIDE = "".join(map(chr, range(0x4E00, 0x4E00 + 300)))  # more letters than a byte has
ALPHABETS = ["ab", "ab\n\0", "a\U0001f600\ud800é", "xyz" + WIDE[:3]]
TEXTS = st.sampled_from(ALPHABETS).flatmap(
    lambda letters: st.tuples(
        st.text(letters, max_size=40), st.text(letters + "?", max_size=30), st.booleans()
    )
)


def pair(case):
    """Return an indexed text and a query; a wide one has an alphabet of two bytes."""
    text, query, wide = case
    return (WIDE + text if wide else text), query


def longest(text, query):
    return max((n for n in range(len(query) + 1) if query[:n] in text), default=0)


@settings(deadline=None, max_examples=200)
@given(TEXTS)
def test_matches_are_those_of_brute_force(case):
    text, query = pair(case)
    matches = TextIndex(text).matches(query)
    assert matches.lengths.tolist() == [longest(text, query[at:]) for at in range(len(query))]
    for at, (length, place) in enumerate(zip(matches.lengths, matches.places, strict=True)):
        assert text[place : place + length] == query[at : at + length]


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.integers(0, 4))
def test_following_is_that_of_brute_force(case, size):
    text, query = pair(case)
    history = query[:size]
    expected = {
        text[at + len(history)] for at in range(len(text) - len(history)) if text.startswith(history, at)
    }
    assert TextIndex(text).following(history) == expected


@settings(deadline=None)
@given(TEXTS, st.integers(1, 6))
def test_passages_are_the_longest_and_cover_what_is_copied(case, least):
    text, query = pair(case)
    matches = TextIndex(text).matches(query)
    passages = matches.passages(least)
    inside = np.zeros(len(query), bool)
    for at in range(len(query) - least + 1):
        for size in range(least, len(query) - at + 1):
            if query[at : at + size] in text:
                inside[at : at + size] = True
    assert matches.covered(least) == inside.sum()
    for copy in passages:
        said = query[copy.start : copy.end]
        assert text[copy.place : copy.place + copy.length] == said
        assert copy.length >= least
        assert copy.end == len(query) or query[copy.start : copy.end + 1] not in text
        assert copy.start == 0 or query[copy.start - 1 : copy.end] not in text


def inside(passages, size):
    return {place for copy in passages for place in range(copy.start, min(copy.end, size))}


@settings(deadline=None, max_examples=200)
@given(TEXTS, st.integers(1, 4))
def test_a_cover_is_the_smallest(case, least):
    text, query = pair(case)
    passages = TextIndex(text).matches(query).passages(least)
    found = cover(passages)
    assert inside(found, len(query)) == inside(passages, len(query))
    smallest = (
        next(
            size
            for size in range(len(passages) + 1)
            if any(
                inside(some, len(query)) == inside(passages, len(query))
                for some in combinations(passages, size)
            )
        )
        if len(passages) < 9
        else len(found)
    )
    assert len(found) == smallest


@settings(deadline=None)
@given(TEXTS, st.integers(1, 6))
def test_novel_places_are_those_of_brute_force(case, size):
    text, query = pair(case)
    grams = [query[at : at + size] for at in range(len(query) - size + 1)]
    assert TextIndex(text).matches(query).novel(size) == sum(gram not in text for gram in grams)


def random_text(size, seed, letters="abcdefgh "):
    return "".join(np.random.default_rng(seed).choice(list(letters), size))


def test_a_planted_quotation_is_found_where_it_stands():
    text, noise = random_text(50_000, 0), random_text(3000, 1)
    query = noise[:1234] + text[33_333:33_533] + noise[1234:]
    (copy,) = TextIndex(text).matches(query).passages(100)
    assert copy.start <= 1234
    assert copy.end >= 1434
    assert copy.length < 210  # a few more letters agree by chance
    assert copy.place == 33_333 - (1234 - copy.start)


def test_a_text_that_is_wholly_copied():
    text = random_text(20_000, 3)
    matches = TextIndex(text).matches(text)
    assert matches.passages(1) == (Copy(0, 20_000, 0),)
    assert matches.covered(30) == 20_000
    repeated = "ab" * 5000
    assert TextIndex(repeated).matches(repeated).lengths.tolist() == list(range(10_000, 0, -1))


@pytest.mark.parametrize("far", range(1, 10))
@pytest.mark.parametrize("wide", ["", WIDE])
def test_it_does_not_matter_from_where_on_passages_are_followed(monkeypatch, wide, far):
    monkeypatch.setattr(copies, "_FAR", far)
    for seed in range(10):
        text = wide + random_text(40, seed, "ab\U0001f600")
        query = random_text(30, seed + 100, "ab\U0001f600")
        matches = TextIndex(text).matches(query)
        assert matches.lengths.tolist() == [longest(text, query[at:]) for at in range(len(query))]
        for at, (length, place) in enumerate(zip(matches.lengths, matches.places, strict=True)):
            assert text[place : place + length] == query[at : at + length]


@pytest.mark.parametrize("wide", ["", WIDE])
def test_long_copies_that_overlap_and_end_together(wide):
    first, second = random_text(150, 8), random_text(150, 9)
    text = wide + first + "!" + second + "?" + first[60:] + second[:100] + wide
    query = first[20:] + second + "#" + second[:120] + first[:30]
    matches = TextIndex(text).matches(query)
    assert matches.lengths.tolist() == [longest(text, query[at:]) for at in range(len(query))]
    assert (matches.lengths > copies._FAR).sum() > 150
    for at, (length, place) in enumerate(zip(matches.lengths, matches.places, strict=True)):
        assert text[place : place + length] == query[at : at + length]


def test_long_copies_are_looked_up_once_not_from_each_character(monkeypatch):
    text = random_text(60_000, 10)
    index = TextIndex(text)
    whole, calls = index._whole, []
    monkeypatch.setattr(index, "_whole", lambda query: calls.append(len(query)) or whole(query))
    query = text[5000:35_000] + "#" + text[100:20_100]
    assert index.matches(query).passages(64) == (Copy(0, 30_000, 5000), Copy(30_001, 20_000, 100))
    assert len(calls) == 2


def test_nothing_to_index_and_nothing_to_look_up():
    assert TextIndex("").matches("abc").lengths.tolist() == [0, 0, 0]
    assert TextIndex("").following("") == TextIndex("").following("a") == frozenset()
    assert TextIndex("abc").matches("").passages() == ()
    assert TextIndex("abc").matches("xyz").passages() == ()
    assert TextIndex("abc").following("c") == frozenset()


def test_many_texts_are_looked_up_in_chunks(monkeypatch):
    text, query = random_text(4000, 5), random_text(1000, 6)
    whole = TextIndex(text).matches(query)
    monkeypatch.setattr(copies, "_CHUNK", 77)
    parts = TextIndex(text).matches(query)
    np.testing.assert_array_equal(whole.lengths, parts.lengths)


def test_too_many_distinct_characters_are_refused(monkeypatch):
    monkeypatch.setattr(copies, "_MOST_DISTINCT", 3)
    with pytest.raises(UsageError, match=r"at most 3 distinct characters.*Received: 4 and 5"):
        TextIndex("abcda")
