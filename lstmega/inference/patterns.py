"""Constrained decoding: masks of the characters after which a pattern can still be completed.

    expression, acrostic, required or banned texts -> automata -> intersection -> masks

The masks are exact: a character is allowed if and only if an accepted text continues with it.
"""

import heapq
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError
from lstmega.inference.automata import (
    MOST_STATES,
    Automaton,
    Expression,
    Mask,
    Node,
    Occurrences,
    refused,
    too_large,
)

_STATE_CELLS = 100  # cost of a state besides its tables
_MOST_CELLS = MOST_STATES * _STATE_CELLS  # entries of all tables of a pattern, about 100 MB
_MASK_BYTES = 1 << 24  # masks for a given number of characters left, kept


class _Row(NamedTuple):
    """The steps that may follow a state."""

    steps: list[int | None]  # [classes] -> state
    needs: npt.NDArray[np.float64]  # [classes], characters needed after one of this class
    most: float  # the largest of the finite needs, -1 where nothing may follow
    mask: Mask  # [characters], with any number of characters left


class Pattern:
    """A regular language over a vocabulary's characters, with the mask of each state.

    Make one with `regex`, `acrostic`, `containing` or `without`; their `characters` are the
    vocabulary's, one code point each, and the position is the id. `&` intersects two. States are whole
    numbers, made as they are visited, and from each an accepted text can be reached.

    Any method may raise UsageError, where more than about 100,000 states were visited or searched.
    """

    start: int
    """The state before any character."""

    def __init__(self, machine: Automaton) -> None:
        self._machine = machine
        self._class_of: list[int] = machine.classes.tolist()
        self._class_count = int(machine.classes.max(initial=0)) + 1
        self._numbers: dict[Node, int] = {}
        self._nodes: list[Node] = []
        self._bounds: list[float] = []  # [states], characters needed, at least; inf where dead
        self._known: list[float | None] = []  # [states], exactly
        self._follows: list[list[int | None] | None] = []
        self._rows: list[_Row | None] = []
        self._masks: dict[bytes, Mask] = {}
        self._cells = 0
        self.start = self._number(machine.start)
        if self._need(self.start) == math.inf:
            raise UsageError(
                f"No text satisfies the constraints. Received: {machine.name:.200}. "
                f"Accepted: constraints that {len(machine.characters)} characters can satisfy."
            )

    @classmethod
    def regex(cls, pattern: str, characters: Sequence[str]) -> "Pattern":
        r"""Accept what `re.fullmatch` matches: the whole text.

        Args:
            pattern: Python's syntax. Lazy repeats and capturing groups are as greedy ones and plain
                groups; `^`, `$`, `\A` and `\Z` have no effect at the ends, elsewhere they are refused.

        Raises:
            UsageError: `regular_expression.parse` refuses the pattern, or no text of these characters
                matches.
        """
        return cls(Expression(pattern, characters, f"the pattern {pattern!r}"))

    @classmethod
    def acrostic(cls, word: str, characters: Sequence[str], *, longest: int | None = None) -> "Pattern":
        r"""Accept texts of `len(word)` lines, of which line k starts with the k-th letter of `word`.

        Lines are separated by one "\n" and are the letter, in either case, with anything after it.
        The text may end anywhere in the last line, which has no "\n".

        Args:
            word: At least one character, no white space.
            longest: Characters that a line may have; None is any number.

        Raises:
            UsageError: The word is empty or has white space, or a letter is in the vocabulary in neither
                case.
        """
        if not isinstance(word, str) or not word or any(letter.isspace() for letter in word):
            raise refused("An acrostic needs a word", word, "one character or more, no white space")
        rest = "*" if longest is None else f"{{0,{longest - 1}}}"
        pattern = r"\n".join(f"(?i:{re.escape(letter)})[^\\n]{rest}" for letter in word)
        return cls(Expression(pattern, characters, f"an acrostic of {word!r}"))

    @classmethod
    def containing(cls, text: str, characters: Sequence[str]) -> "Pattern":
        """Accept texts in which `text` occurs at least once; case matters.

        Raises:
            UsageError: The text is empty, too long or has a character that is not in the vocabulary.
        """
        texts = _texts("A required text", [text])
        return cls(Occurrences(texts, characters, f"a text with {text!r}", wanted=True))

    @classmethod
    def without(cls, texts: Sequence[str], characters: Sequence[str]) -> "Pattern":
        """Accept texts in which none of `texts` occurs, the empty one too; case matters.

        Raises:
            UsageError: There is no text, one is empty, or they are too long.
        """
        name = "a text without " + ", ".join(map(repr, _texts("Banned texts", texts)))
        return cls(Occurrences(texts, characters, name, wanted=False))

    def __and__(self, other: "Pattern") -> "Pattern":
        """Accept the texts that both accept.

        Raises:
            UsageError: They have different vocabularies, or no text is in both.
        """
        first, second = self._machine.characters, other._machine.characters
        if first != second:
            received = f"{len(first)} and {len(second)} characters"
            raise refused("Patterns need the same vocabulary", received, "one vocabulary")
        return Pattern(_Both(self, other))

    def step(self, state: int, identity: int) -> int:
        """Return the state after the character of this id.

        Raises:
            UsageError: No accepted text goes on with this character.
        """
        following = (self._rows[state] or self._look(state)).steps[self._class_of[identity]]
        if following is None:
            character = self._machine.characters[identity]
            raise refused("The text does not fit", character, self._machine.name)
        return following

    def allowed(self, state: int, remaining: int | None) -> Mask:
        """Return the mask of the characters after which an accepted text can still be completed.

        Args:
            state: From `start` or `step`.
            remaining: Characters that may still come, this one included; None: any number.

        Returns:
            `[characters]`, read-only; none where `remaining` is below `least(state)` or 1.
        """
        row = self._rows[state] or self._look(state)
        if remaining is None or remaining > row.most:
            return row.mask
        return self._mask(row.needs < remaining)

    def may_end(self, state: int) -> bool:
        """Return whether the text so far is accepted."""
        return self._need(state) == 0

    def must_end(self, state: int) -> bool:
        """Return whether the text so far is accepted and nothing may follow."""
        return self._need(state) == 0 and (self._rows[state] or self._look(state)).most < 0

    def least(self, state: int) -> int:
        """Return the smallest number of characters that complete an accepted text, 0 for one."""
        return int(self._need(state))

    def _number(self, node: Node) -> int:
        """Return the state of a node, a new one for a new node."""
        if (found := self._numbers.get(node)) is not None:
            return found
        self._cells += _STATE_CELLS + self._class_count + len(node)
        if self._cells > _MOST_CELLS:
            raise too_large(self._machine.name)
        bound = self._machine.bound(node)
        self._nodes.append(node)
        self._bounds.append(bound)
        self._known.append(bound if self._machine.exact or bound in (0, math.inf) else None)
        self._follows.append(None)
        self._rows.append(None)
        return self._numbers.setdefault(node, len(self._numbers))

    def _follow(self, state: int) -> list[int | None]:
        """Return the state after each class, dead ones too, `[classes]`."""
        if (found := self._follows[state]) is None:
            nodes = self._machine.follow(self._nodes[state])
            found = [None if node is None else self._number(node) for node in nodes]
            self._follows[state] = found
        return found

    def _look(self, state: int) -> _Row:
        """Make the row of a state, without steps to dead ends."""
        steps = self._follow(state)
        needs = np.array([math.inf if step is None else self._need(step) for step in steps])
        live = needs < math.inf
        for number in np.flatnonzero(~live):
            steps[number] = None
        row = _Row(steps, needs, float(needs[live].max(initial=-1)), self._mask(live))
        self._rows[state] = row
        return row

    def _mask(self, classes: Mask) -> Mask:
        key = classes.tobytes()
        if (found := self._masks.get(key)) is None:
            if len(self._masks) * len(self._machine.characters) > _MASK_BYTES:
                self._masks.clear()
            found = self._masks[key] = classes[self._machine.classes]  # [characters]
            found.setflags(write=False)
        return found

    def _need(self, state: int) -> float:
        """Return the smallest number of characters to acceptance, inf where there is no way."""
        known = self._known[state]
        return self._search(state) if known is None else known

    def _search(self, start: int) -> float:
        """Return the length of the shortest way to acceptance, inf for none (A*: Hart et al. 1968)."""
        so_far, origins = {start: 0}, {start: start}
        heap = [(0.0, 0.0, start)]  # characters in all, still needed, state
        done: set[int] = set()
        while heap:
            here = heapq.heappop(heap)[2]
            if (need := self._known[here]) is not None:
                total = so_far[here] + need
                for state in done:  # nearer bounds for later (Adaptive A*: Koenig, Likhachev 2005)
                    self._bounds[state] = total - so_far[state]
                while here != start:  # the rest of a shortest way is a shortest way
                    here = origins[here]
                    self._known[here] = self._bounds[here]
                return total
            if here in done:
                continue
            done.add(here)
            for after in {step for step in self._follow(here) if step is not None}:
                bound, cost = self._bounds[after], so_far[here] + 1
                if bound < math.inf and cost < so_far.get(after, math.inf):
                    so_far[after], origins[after] = cost, here
                    heapq.heappush(heap, (cost + bound, bound, after))
        for state in so_far:
            self._known[state] = self._bounds[state] = math.inf
        return math.inf


class _Both(Automaton):
    """The intersection of two patterns; a node is a state of each."""

    exact = False

    def __init__(self, *patterns: Pattern) -> None:
        self._patterns = patterns
        self.characters = patterns[0]._machine.characters
        self.name = " and ".join(pattern._machine.name for pattern in patterns)
        each = np.stack([pattern._machine.classes for pattern in patterns])  # [patterns, characters]
        pairs, classes = np.unique(each, axis=1, return_inverse=True)
        self._pairs = pairs.T.tolist()
        self.classes = classes.reshape(-1)
        self.start = tuple(pattern.start for pattern in patterns)

    def follow(self, node: Node) -> list[Node | None]:
        first, second = (
            (pattern._rows[state] or pattern._look(state)).steps
            for pattern, state in zip(self._patterns, node, strict=True)
        )
        steps = ((first[one], second[other]) for one, other in self._pairs)
        return [None if one is None or other is None else (one, other) for one, other in steps]

    def bound(self, node: Node) -> float:
        return max(p._need(state) for p, state in zip(self._patterns, node, strict=True))


def _texts(what: str, texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise refused(f"{what} must not be empty", texts, "texts of at least one character")
    return texts
