r"""Regular expressions in Python's syntax, read into a tree from which an automaton can be built.

    pattern -> `re.compile` checks the syntax -> recursive descent -> anchors resolved -> tree

The parser reads only patterns that `re` accepts, and refuses references, look arounds and the like,
which have no finite automaton or a large one. The leaves of the tree keep the syntax of `re` (`[^a-z]`,
`\d`, `.`), and `re` decides which characters they match.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NoReturn, TypeAlias

from lstmega.errors import UsageError

_ACCEPTED = (
    "Accepted: Python's syntax of characters, classes, ., groups, |, *, +, ?, {m,n} "
    "and the flags (?aimsux)."
)


@dataclass(frozen=True, slots=True)
class Character:
    """One character."""

    expression: str  # matches single characters
    flags: int  # of `re`


@dataclass(frozen=True, slots=True)
class Concatenation:
    """All parts, one after the other; without parts, the empty text."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Alternation:
    """One of the parts."""

    parts: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Repetition:
    """A part, repeated from `least` to `most` times; None is any number."""

    part: "Node"
    least: int
    most: int | None


@dataclass(frozen=True, slots=True)
class _Anchor:
    """`^` and `\\A` (at the start), or `$` and `\\Z`; `parse` removes them."""

    at_start: bool
    position: int


Node: TypeAlias = Character | Concatenation | Alternation | Repetition | _Anchor

_EMPTY = Concatenation(())

# Tokens. A backslash and the next character always belong together, in comments too.
_SPACE = re.compile(r"[ \t\n\r\v\f]|#(?:\\.|[^\\\n])*\n?", re.DOTALL)  # skipped with (?x)
_COMMENT = re.compile(r"\(\?#(?:\\.|[^\\)])*\)", re.DOTALL)
_GROUP = re.compile(
    r"\((?:\?P<[^>]*>|\?(?P<added>[aimsux]*)(?:-(?P<removed>[imsx]+))?(?P<end>[:)])|(?!\?))"
)
_REPEAT = re.compile(
    r"(?:[*+?]|\{(?!\})(?P<least>[0-9]*)(?P<comma>,?)(?P<most>[0-9]*)\})(?P<kind>[?+]?)"
)
_ANCHOR = re.compile(r"\^|\$|\\A|\\Z")
_CHARACTER = re.compile(
    r"""
    \[ \^? \]? (?: \\. | [^\\\]] )* \]       # a class; a ] that comes first is a character
    | \\ (?:
        x .{2} | u .{4} | U .{8} | N \{ [^}]* \}
        | 0 [0-7]{0,2} | [1-7] [0-7]{2}      # octal; other numbers refer to groups
        | [afnrtvdDsSwW] | [^a-zA-Z0-9]
    )
    | [^\\(|)]
    """,
    re.DOTALL | re.VERBOSE,
)
_CHARACTER_FLAGS = re.ASCII | re.IGNORECASE | re.DOTALL  # those that change what a character matches
_MISPLACED = "an anchor that is not at an end, or a word boundary"
_REFUSED = {
    re.compile(r"\\[1-9]|\(\?P="): "a reference to a group",
    re.compile(r"\(\?\("): "a condition on a group",
    re.compile(r"\(\?<?[=!]"): "a look around",
    re.compile(r"\(\?>"): "an atomic group",
    re.compile(r"\\[bB]"): _MISPLACED,
}


def parse(pattern: str) -> Node:
    """Read a pattern into a tree of characters, concatenations, alternations and repetitions.

    Args:
        pattern: Python's syntax.

    Returns:
        The tree, without groups, comments and anchors; anchors are accepted at the ends of the text.

    Raises:
        UsageError: `re` refuses the pattern, or it has a reference, a condition, a look around, an
            atomic group, a possessive repeat, a word boundary or an anchor inside.
    """
    if not isinstance(pattern, str):
        raise _error("A pattern must be text", pattern)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about syntax that a later Python may read differently
            re.compile(pattern)
        return _Parser(pattern).parse()
    except (re.error, ValueError, OverflowError) as error:
        raise _error(f"The pattern cannot be read: {error}", pattern) from None
    except RecursionError:
        raise _error("The pattern cannot be read: it is too deep", pattern) from None


def _error(what: str, received: object) -> UsageError:
    return UsageError(f"{what}. Received: {received!r:.200}. {_ACCEPTED}")


class _Parser:
    """Recursive descent over a pattern that `re` accepts.

    alternation -> concatenation ("|" concatenation)*
    concatenation -> (anchor | character repeat? | group repeat? | flags | comment)*
    group -> "(" alternation ")"
    """

    def __init__(self, pattern: str) -> None:
        self._pattern, self._position, self._flags = pattern, 0, 0

    def parse(self) -> Node:
        """Read the whole pattern."""
        return self._resolve(self._alternation(), True, True)

    def _alternation(self) -> Node:
        parts = [self._concatenation()]
        while self._pattern.startswith("|", self._position):
            self._position += 1
            parts.append(self._concatenation())
        return parts[0] if len(parts) == 1 else Alternation(tuple(parts))

    def _concatenation(self) -> Node:
        """Read up to a "|", a ")" or the end of the pattern."""
        parts: list[Node] = []
        while self._position < len(self._pattern) and self._pattern[self._position] not in "|)":
            start = self._position
            if (self._flags & re.VERBOSE and self._take(_SPACE)) or self._take(_COMMENT):
                continue
            if repeat := self._take(_REPEAT):
                if repeat["kind"] == "+":
                    self._refuse("a possessive repeat", start)
                parts[-1] = Repetition(parts[-1], *_counts(repeat))
            elif group := self._take(_GROUP):
                parts += self._group(group)
            elif anchor := self._take(_ANCHOR):
                parts.append(_Anchor(anchor[0] in ("^", r"\A"), start))
            elif character := self._take(_CHARACTER):
                parts.append(Character(character[0], self._flags & _CHARACTER_FLAGS))
            else:
                refused = (what for token, what in _REFUSED.items() if self._take(token))
                self._refuse(next(refused, "unknown syntax"), start)
        spliced = (part.parts if isinstance(part, Concatenation) else [part] for part in parts)
        return Concatenation(tuple(chain.from_iterable(spliced)))

    def _group(self, opening: re.Match[str]) -> list[Node]:
        """Read the rest of a group; `(?i)` and its like only set flags and add no node."""
        outer = self._flags
        for letter in opening["added"] or "":
            self._flags |= getattr(re, letter.upper())
        if "u" in (opening["added"] or ""):
            self._flags &= ~re.ASCII
        for letter in opening["removed"] or "":
            self._flags &= ~getattr(re, letter.upper())
        if opening["end"] == ")":
            return []
        inside = self._alternation()
        self._position += 1  # the closing parenthesis
        self._flags = outer
        return [inside]

    def _resolve(self, node: Node, starts: bool, ends: bool) -> Node:
        """Remove the anchors and simplify the tree.

        Args:
            node: A node as the parser read it.
            starts, ends: Whether only anchors come before, or after, the node.
        """
        match node:
            case Concatenation(parts):
                others = [place for place, part in enumerate(parts) if not isinstance(part, _Anchor)]
                first, last = (others[0], others[-1]) if others else (len(parts), -1)
                resolved = [
                    self._resolve(part, starts and place <= first, ends and place >= last)
                    for place, part in enumerate(parts)
                ]
                kept = [part for part in resolved if part != _EMPTY]
                return kept[0] if len(kept) == 1 else Concatenation(tuple(kept))
            case Alternation():
                return _alternation([self._resolve(part, starts, ends) for part in node.parts])
            case Repetition():
                return Repetition(self._resolve(node.part, False, False), node.least, node.most)
            case _Anchor(at_start, position):
                if not (starts if at_start else ends):
                    self._refuse(_MISPLACED, position)
                return _EMPTY
            case Character():
                return node

    def _take(self, token: re.Pattern[str]) -> re.Match[str] | None:
        """Read a token if the pattern continues with it, else return None."""
        if found := token.match(self._pattern, self._position):
            self._position = found.end()
        return found

    def _refuse(self, what: str, position: int) -> NoReturn:
        raise _error(f"The pattern has {what}, at position {position}", self._pattern)


def _counts(repeat: re.Match[str]) -> tuple[int, int | None]:
    """Return the smallest and the largest number of repetitions."""
    if (sign := repeat[0][0]) != "{":
        return int(sign == "+"), 1 if sign == "?" else None
    least = int(repeat["least"] or 0)
    if not repeat["comma"]:
        return least, least
    return least, int(repeat["most"]) if repeat["most"] else None


def _alternation(parts: Sequence[Node]) -> Node:
    """Make an alternation; alternatives of one character each become a single character: a|[bc]."""
    characters = [part for part in parts if isinstance(part, Character)]
    flags = {character.flags for character in characters}
    if len(characters) < len(parts) or len(flags) > 1:
        return Alternation(tuple(parts))
    expressions = dict.fromkeys(character.expression for character in characters)
    return Character("|".join(expressions), flags.pop())
