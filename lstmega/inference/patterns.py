"""Let a text have a form: which characters may come next so that a pattern can still be met, exactly.

    expression, acrostic, required or banned texts -> automata -> both at once -> masks

No dead ends: a character is allowed where, and only where, an accepted text goes on with it.
"""

import heapq
import math
import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError
from lstmega.inference.automata import MOST_STATES, Expression, Mask, Node, Occurrences, too_large

_STATE_CELLS = 100  # what a state costs besides its tables
_MOST_CELLS = MOST_STATES * _STATE_CELLS  # entries of all tables of a pattern, about 100 MB
_MASK_BYTES = 1 << 24  # masks for a given number of characters left, kept


class _Row(NamedTuple):
    """What may follow a state."""

    steps: list[int | None]  # [classes] -> state
    needs: npt.NDArray[np.float64]  # [classes], characters needed after one of this class
    most: float  # the largest of the finite needs, -1 where nothing may follow
    mask: Mask  # [characters], with any number of characters left


class Pattern:
    """A regular language over a vocabulary's characters: which of them may come next.

    Make one with `regex`, `acrostic`, `containing` or `without`; `&` demands both. States are whole
    numbers, made as they are visited, and each leads to an accepted text. Any method may raise
    UsageError, where the states that were visited or searched are more than about 100,000.
    """

    start: int
    """The state before any character."""

    def __init__(self, machine: "Expression | Occurrences | _Both", name: str, characters: str) -> None:
        self._machine, self._name, self._characters = machine, name, characters
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
                f"No text can be as asked. Received: {name:.200}. "
                f"Accepted: what some text of the vocabulary's {len(characters)} characters can be."
            )

    @classmethod
    def regex(cls, pattern: str, characters: Sequence[str]) -> "Pattern":
        r"""Accept what `re.fullmatch` matches: the whole text.

        Args:
            pattern: Python's syntax. Lazy repeats and groups that capture mean what the others mean;
                `^`, `$`, `\A` and `\Z` at the ends mean nothing, elsewhere they are refused.
            characters: The vocabulary's, one code point each; the position is the id.

        Raises:
            UsageError: The syntax is wrong; there is a reference, a condition, a look around, an
                atomic group, a possessive repeat or a word boundary; no text of these characters
                matches; or the pattern needs too many states.
        """
        known = _joined(characters)
        name = f"the pattern {pattern!r}"
        return cls(Expression(pattern, known, name), name, known)

    @classmethod
    def acrostic(cls, word: str, characters: Sequence[str], *, longest: int | None = None) -> "Pattern":
        r"""Accept texts of `len(word)` lines, of which line k starts with the k-th letter of `word`.

        Lines are separated by one "\n" and are the letter, in either case, with anything after it.
        The text may end anywhere in the last line, which has no "\n".

        Args:
            word: At least one character, no white space.
            characters: The vocabulary's, one code point each; the position is the id.
            longest: Characters that a line may have; None is any number.

        Raises:
            UsageError: The word is empty or has white space, a letter is in the vocabulary in neither
                case, or there are too many lines.
        """
        if not isinstance(word, str) or not word or any(letter.isspace() for letter in word):
            raise _refusal("An acrostic needs a word", word, "one character or more, no white space")
        known = _joined(characters)
        rest = "*" if longest is None else f"{{0,{longest - 1}}}"
        pattern = r"\n".join(f"(?i:{re.escape(letter)})[^\\n]{rest}" for letter in word)
        name = f"an acrostic of {word!r}"
        return cls(Expression(pattern, known, name), name, known)

    @classmethod
    def containing(cls, text: str, characters: Sequence[str]) -> "Pattern":
        """Accept texts in which `text` occurs at least once (Knuth, Morris and Pratt 1977).

        Args:
            text: At least one character; case matters.
            characters: The vocabulary's, one code point each; the position is the id.

        Raises:
            UsageError: The text is empty, too long or has a character that the vocabulary has not.
        """
        known = _joined(characters)
        name = f"a text with {text!r}"
        texts = _texts("A required text", [text])
        return cls(Occurrences(texts, known, name, wanted=True), name, known)

    @classmethod
    def without(cls, texts: Sequence[str], characters: Sequence[str]) -> "Pattern":
        """Accept texts in which none of `texts` occurs, the empty one too (Aho and Corasick 1975).

        Args:
            texts: At least one, each of at least one character; case matters.
            characters: The vocabulary's, one code point each; the position is the id.

        Raises:
            UsageError: There is no text, one is empty, or they are too long.
        """
        known = _joined(characters)
        name = "a text without " + ", ".join(map(repr, _texts("Banned texts", texts)))
        return cls(Occurrences(texts, known, name, wanted=False), name, known)

    def __and__(self, other: "Pattern") -> "Pattern":
        """Accept what both accept.

        Raises:
            UsageError: They have different vocabularies, no text is in both, or it takes too many
                states to find one.
        """
        if self._characters != other._characters:
            received = f"{len(self._characters)} and {len(other._characters)} characters"
            raise _refusal("Patterns of different vocabularies cannot meet", received, "the same one")
        return Pattern(_Both(self, other), f"{self._name} and {other._name}", self._characters)

    def step(self, state: int, identity: int) -> int:
        """Return the state after the character of this id.

        Raises:
            UsageError: No accepted text goes on with this character.
        """
        following = (self._rows[state] or self._look(state)).steps[self._class_of[identity]]
        if following is None:
            raise _refusal("The text does not fit", self._characters[identity], self._name)
        return following

    def allowed(self, state: int, remaining: int | None) -> Mask:
        """Return which characters may come next, so that an accepted text can still be completed.

        Args:
            state: As `start` or `step` gave it.
            remaining: How many characters may still come, this one included; None: any number.

        Returns:
            `[characters]`, read-only; none where `remaining` is below `least(state)` or 1.
        """
        row = self._rows[state] or self._look(state)
        if remaining is None or remaining > row.most:
            return row.mask
        return self._mask(row.needs < remaining)

    def may_end(self, state: int) -> bool:
        """Return whether the text is accepted as it is."""
        return self._need(state) == 0

    def must_end(self, state: int) -> bool:
        """Return whether the text is accepted as it is and nothing may follow."""
        return self._need(state) == 0 and (self._rows[state] or self._look(state)).most < 0

    def least(self, state: int) -> int:
        """Return the fewest characters that complete an accepted text, 0 where it is one."""
        return int(self._need(state))

    def _number(self, node: Node) -> int:
        """Return the number of a node, a new one where it is new."""
        if (found := self._numbers.get(node)) is not None:
            return found
        self._cells += _STATE_CELLS + self._class_count + len(node)
        if self._cells > _MOST_CELLS:
            raise too_large(self._name)
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
        """Make the row of a state, without what leads nowhere."""
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
            if len(self._masks) * len(self._characters) > _MASK_BYTES:
                self._masks.clear()
            found = self._masks[key] = classes[self._machine.classes]  # [characters]
            found.setflags(write=False)
        return found

    def _need(self, state: int) -> float:
        """Return the fewest characters to acceptance, inf where there is no way."""
        known = self._known[state]
        return self._search(state) if known is None else known

    def _search(self, start: int) -> float:
        """Find the shortest way to acceptance, or that there is none (A*: Hart et al. 1968)."""
        so_far, origins = {start: 0}, {start: start}
        heap = [(0.0, 0.0, start)]  # characters in all, still needed, state
        done: set[int] = set()
        while heap:
            here = heapq.heappop(heap)[2]
            if (need := self._known[here]) is not None:
                total = so_far[here] + need
                for state in done:  # nearer bounds for later (Adaptive A*: Koenig, Likhachev 2005)
                    self._bounds[state] = total - so_far[state]
                while here != start:  # a shortest way is one from each state on it
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


class _Both:
    """Two patterns at once; a node is a state of each. Only its bounds are known, not its needs."""

    exact = False

    def __init__(self, *patterns: Pattern) -> None:
        self._patterns = patterns
        each = np.stack([pattern._machine.classes for pattern in patterns])  # [patterns, characters]
        pairs, classes = np.unique(each, axis=1, return_inverse=True)
        self._pairs = pairs.T.tolist()
        self.classes: npt.NDArray[np.intp] = classes.reshape(-1)  # [characters]
        self.start: Node = tuple(pattern.start for pattern in patterns)

    def follow(self, node: Node) -> list[Node | None]:
        first, second = (
            (pattern._rows[state] or pattern._look(state)).steps
            for pattern, state in zip(self._patterns, node, strict=True)
        )
        steps = ((first[one], second[other]) for one, other in self._pairs)
        return [None if one is None or other is None else (one, other) for one, other in steps]

    def bound(self, node: Node) -> float:
        return max(p._need(state) for p, state in zip(self._patterns, node, strict=True))


def _joined(characters: Sequence[str]) -> str:
    known = "".join(characters)
    if not known or len(known) != len(characters) or len(set(known)) != len(known):
        raise _refusal("A pattern needs a vocabulary", known, "distinct characters, at least one")
    return known


def _texts(what: str, texts: Sequence[str]) -> Sequence[str]:
    if isinstance(texts, str) or not texts or not all(isinstance(t, str) and t for t in texts):
        raise _refusal(f"{what} must not be empty", texts, "texts of at least one character")
    return texts


def _refusal(what: str, received: object, accepted: str) -> UsageError:
    return UsageError(f"{what}. Received: {received!r:.200}. Accepted: {accepted:.200}.")
