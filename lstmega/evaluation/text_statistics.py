"""Measures of a generated text against the training text: words, repetition, copies.

Every share is a quotient of two counts, and the counts of several texts are added (`together`). Words
are runs of letters and the marks on them, compared without case; in scripts without spaces each
character is a word.
"""

import math
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from lstmega.data.suffix_array import Copy, TextIndex

COPIED = 30  # characters: a shorter passage that two texts share is no copy
NOVEL = (4, 8, 12, 16, 24, 32)  # characters of the n-grams whose novelty is measured
DISTINCT = (1, 2, 3, 4)  # words of the n-grams that are counted
_REPEATED = 16  # characters
_LONGEST_LOOP, _LEAST_LOOP, _TIMES = 200, 60, 3  # characters, characters, repetitions

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)  # Thai, Lao, Burmese, Khmer, kana, Chinese characters


@dataclass(frozen=True)
class Count:
    """A part of a whole, both counted."""

    part: int
    whole: int

    @property
    def share(self) -> float:
        """The quotient; nan where the whole is 0."""
        return self.part / self.whole if self.whole else math.nan

    def __add__(self, other: "Count") -> "Count":
        return Count(self.part + other.part, self.whole + other.whole)


@dataclass(frozen=True)
class Analysis:
    """The measures of one text, or of several together.

    Args:
        characters: Number of characters.
        known_words: Words that the training text has, without words that the text's ends may have cut.
        distinct: For n = 1 to 4, different n-grams of words among all (Li et al. 2016).
        repeated: Runs of 16 characters that occurred before in the same text (rep-n of Welleck et al.
            2020, for characters).
        novel: For each n of `NOVEL`, n-grams of characters that the training text does not have.
        copied: Characters in passages of at least 30 that occur in the training text.
        passages: These passages of each text, in its order.
        loops: The repeated unit of each text with a loop: up to 200 characters at least three times in a
            row, over 60 characters or more.
    """

    characters: int
    known_words: Count
    distinct: tuple[Count, ...]
    repeated: Count
    novel: tuple[Count, ...]
    copied: Count
    passages: tuple[tuple[Copy, ...], ...]
    loops: tuple[str, ...]

    @property
    def longest(self) -> int:
        """Length of the longest passage of 30 or more that was copied from the training text, or 0."""
        return max((copy.length for passages in self.passages for copy in passages), default=0)

    def to_dict(self) -> dict[str, Any]:
        """Return shares for JSON, None where there is nothing to count."""
        return {
            "characters": self.characters,
            "known_words": _number(self.known_words),
            "distinct": {str(n): _number(c) for n, c in zip(DISTINCT, self.distinct, strict=True)},
            "repeated": _number(self.repeated),
            "loops": list(self.loops),
            "novelty": {str(n): _number(c) for n, c in zip(NOVEL, self.novel, strict=True)},
            "copied": _number(self.copied),
            "longest_copy": self.longest,
            "passages": [
                {"text": number, "start": copy.start, "length": copy.length, "place": copy.place}
                for number, passages in enumerate(self.passages)
                for copy in passages
            ],
        }


class Reference:
    """A training text that generated texts are compared with."""

    def __init__(self, text: str) -> None:
        self.text = text

    @cached_property
    def index(self) -> TextIndex:
        """The index of all passages of the training text."""
        return TextIndex(self.text)

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(_words(self.text))

    def analyse(self, text: str) -> Analysis:
        """Compare a text with the training text."""
        matches = self.index.matches(text)
        words = list(_words(text))
        whole = list(_words(text, cut=True))
        return Analysis(
            characters=len(text),
            known_words=Count(sum(word in self._words for word in whole), len(whole)),
            distinct=tuple(_distinct(words, size) for size in DISTINCT),
            repeated=_repeated(text),
            novel=tuple(Count(matches.novel(n), max(0, len(text) - n + 1)) for n in NOVEL),
            copied=Count(matches.covered(COPIED), len(text)),
            passages=(matches.passages(COPIED),),
            loops=tuple(filter(None, [loop(text)])),
        )

    def context(self, copy: Copy, around: int = 60) -> tuple[str, str, str, int]:
        """Return a copied passage in its context: text before, passage, text behind, line number."""
        start, end = copy.place, copy.place + copy.length
        before, after = self.text[max(0, start - around) : start], self.text[end : end + around]
        return before, self.text[start:end], after, self.text.count("\n", 0, start) + 1


def together(analyses: Sequence[Analysis]) -> Analysis:
    """Return the analysis of several texts: their counts added, their passages and loops in order."""

    def added(counts: Iterable[Count]) -> Count:
        return sum(counts, Count(0, 0))

    return Analysis(
        characters=sum(item.characters for item in analyses),
        known_words=added(item.known_words for item in analyses),
        distinct=tuple(added(item.distinct[n] for item in analyses) for n in range(len(DISTINCT))),
        repeated=added(item.repeated for item in analyses),
        novel=tuple(added(item.novel[n] for item in analyses) for n in range(len(NOVEL))),
        copied=added(item.copied for item in analyses),
        passages=tuple(passages for item in analyses for passages in item.passages),
        loops=tuple(unit for item in analyses for unit in item.loops),
    )


def loop(text: str) -> str | None:
    """Return the shortest unit that a text repeats at least three times in a row, over 60 characters."""
    points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    for size in range(1, min(_LONGEST_LOOP, len(text) // _TIMES) + 1):
        least = max(_LEAST_LOOP, _TIMES * size) - size  # characters that equal those one unit later
        start = _run(points[:-size] == points[size:], least)
        if start is not None:
            return text[start : start + size]
    return None


def _run(equal: np.ndarray[Any, np.dtype[np.bool_]], least: int) -> int | None:
    """Return the start of the first run of at least `least` true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], equal, [False]]).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    long = np.flatnonzero(ends - starts >= least)
    return int(starts[long[0]]) if len(long) else None


def _words(text: str, *, cut: bool = False) -> Iterator[str]:
    """Yield the words; with `cut` without those that touch the ends of the text."""
    marks = "".join(sorted(sign for sign in set(text) if unicodedata.category(sign)[0] == "M"))
    for match in _word(marks).finditer(text):
        if not cut or (match.start() > 0 and match.end() < len(text)):
            yield match[0].casefold()


@lru_cache
def _word(marks: str) -> re.Pattern[str]:
    """Return the pattern of a word; `re` has no class of marks, so they are given."""
    letter = rf"(?:(?![{_UNSPACED}])[^\W\d_]{f'[{marks}]*' if marks else ''})"
    return re.compile(rf"[{_UNSPACED}]|{letter}+(?:['’]{letter}+)*")


def _distinct(words: Sequence[str], size: int) -> Count:
    grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return Count(len(set(grams)), len(grams))


def _repeated(text: str) -> Count:
    grams = [text[at : at + _REPEATED] for at in range(len(text) - _REPEATED + 1)]
    return Count(len(grams) - len(set(grams)), len(grams))


def _number(count: Count) -> float | None:
    return count.share if count.whole else None
