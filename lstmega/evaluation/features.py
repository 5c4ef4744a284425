"""Features of a text that a unit may follow: quotes, brackets, the place in the line; pure.

A feature has one value for each character, as it is after that character was read, like the state of a
model: an opening quote is inside, its closing quote outside.
"""

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError

Values = npt.NDArray[np.float64]
Feature = Callable[[str], npt.NDArray[Any]]  # a text -> `[len(text)]`

_IN_PARAGRAPH = r"(?:(?!\n[ \t]*\n)[^{}])*"  # no blank line, none of these
# A quote that is not closed ends with its paragraph, as speech that goes on in the next one. Single
# quotes count only where they are closed and no apostrophes: not between two letters.
_QUOTES = re.compile(  # the one group of each alternative is the closing quote
    "|".join(
        [
            r'(?s:""".*?(""")' + r"|'''.*?('''))",
            *(
                opening + _IN_PARAGRAPH.format(closing) + f"(?:([{closing}])|(?=\\n|\\Z))"
                for opening, closing in [('"', '"'), ("“", "”"), ("„", "“”"), ("«", "»")]
            ),
            r"(?<!\w)['‘](?=[^\s'’])(?:(?!\n[ \t]*\n)(?:[^'‘’]|(?<=\w)['’](?=\w)))*(['’])(?!\w)",
        ]
    )
)
_PAIRS = {")": "(", "]": "[", "}": "{"}
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_NUMBER = re.compile(r"\d[\d.,_]*")
_LINE_START = re.compile(r"^[ \t]*", re.MULTILINE)
_ADDRESS = re.compile(r"(?:https?://|www\.)[^\s<>\"')\]]+")


def of(feature: str | Feature, text: str, *, tokens: str = "char") -> Values:
    """Return the values of a feature over a text.

    Args:
        feature: A name of `FEATURES`, or a function from a text to one number for each character.
        text: The text; for byte tokens its bytes as Latin-1.
        tokens: `char`, or `byte`, whose values are those of the UTF-8 text, the same for each byte of a
            character.

    Returns:
        `[len(text)]`.

    Raises:
        UsageError: The feature does not exist, or the function does not return one finite number per
            character.
    """
    if isinstance(feature, str) and feature not in FEATURES:
        raise UsageError(f"--find must be one of: {', '.join(FEATURES)}. Received: {feature!r}.")
    follow = FEATURES[feature] if isinstance(feature, str) else feature
    if tokens == "char":
        return _checked(follow(text), text)
    characters = text.encode("latin-1").decode("utf-8", "surrogateescape")
    widths = [len(one.encode("utf-8", "surrogateescape")) for one in characters]
    return np.repeat(_checked(follow(characters), characters), widths)


def name_of(feature: str | Feature) -> str:
    """Return a feature's name, or its function's."""
    return feature if isinstance(feature, str) else getattr(feature, "__name__", "feature")


def _checked(values: npt.ArrayLike, text: str) -> Values:
    found = np.asarray(values, np.float64)
    if found.shape != (len(text),) or not np.isfinite(found).all():
        finite = "finite" if np.isfinite(found).all() else "not all finite"
        raise UsageError(
            f"A feature does not fit its text. Received: shape {found.shape}, {finite}, for "
            f"{len(text)} characters. Accepted: one finite number for each."
        )
    return found


def quotes(text: str) -> Values:
    """Return 1 inside quotes: straight, typographic, guillemets, triple, and single ones that close."""
    inside = np.zeros(len(text))
    for found in _QUOTES.finditer(text):
        closed = found.lastindex is not None
        inside[found.start() : found.end() - closed] = 1
    return inside


def brackets(text: str) -> Values:
    """Return the number of open ( [ {; brackets without a partner do not count."""
    change, opened, waiting = np.zeros(len(text)), list[int](), Counter[str]()
    for place, character in enumerate(text):
        if character in "([{":
            opened.append(place)
            waiting[character] += 1
        elif waiting[partner := _PAIRS.get(character, "")] > 0:
            while text[opened[-1]] != partner:  # opened within, never closed
                waiting[text[opened.pop()]] -= 1
            change[opened.pop()], change[place] = 1, -1
            waiting[partner] -= 1
    return np.cumsum(change)


def bracketed(text: str) -> Values:
    """Return 1 inside brackets."""
    return np.sign(brackets(text))


def line(text: str) -> Values:
    """Return the number of characters since the last line end."""
    places = np.arange(len(text))
    ends = np.array([character == "\n" for character in text], bool)
    return (places - np.maximum.accumulate(np.where(ends, places, -1))).astype(np.float64)


def indent(text: str) -> Values:
    """Return the number of blanks and tabs at the beginning of the line, as far as they were read."""
    depth = np.zeros(len(text))
    for found in _LINE_START.finditer(text):
        end = text.find("\n", found.end())
        depth[found.end() : end if end >= 0 else len(text)] = len(found.group())
        depth[found.start() : found.end()] = np.arange(1, len(found.group()) + 1)
    return depth


def words(text: str) -> Values:
    """Return the number of characters of the word so far; 0 between words."""
    found = np.zeros(len(text))
    for word in _WORD.finditer(text):
        found[word.start() : word.end()] = np.arange(1, len(word.group()) + 1)
    return found


def uppercase(text: str) -> Values:
    """Return 1 at capital letters."""
    return np.array([character.isupper() for character in text], np.float64)


def numbers(text: str) -> Values:
    """Return 1 within a number."""
    return _within(_NUMBER, text)


def addresses(text: str) -> Values:
    """Return 1 within a web address."""
    return _within(_ADDRESS, text)


def _within(pattern: re.Pattern[str], text: str) -> Values:
    inside = np.zeros(len(text))
    for found in pattern.finditer(text):
        inside[found.start() : found.end()] = 1
    return inside


FEATURES: dict[str, Feature] = {
    "quotes": quotes,
    "brackets": bracketed,
    "depth": brackets,
    "line": line,
    "indent": indent,
    "words": words,
    "uppercase": uppercase,
    "numbers": numbers,
    "addresses": addresses,
}
