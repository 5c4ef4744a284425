"""Deterministic automata over a vocabulary's characters, made as they are visited.

    pattern -> syntax tree -> NFA (Thompson 1968) -> subset construction

`re` itself decides which characters a leaf of the tree matches, so that classes, cases and flags have
the meaning that they have there. Characters that an automaton never distinguishes are one class:
thousands of them cost little.
"""

import math
import re
import warnings
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lstmega.errors import UsageError
from lstmega.inference import regular_expression
from lstmega.inference.regular_expression import Alternation, Character, Concatenation, Repetition

Node = tuple[int, ...]
Mask = npt.NDArray[np.bool_]

MOST_STATES = 100_000


class Automaton(Protocol):
    """The interface of a deterministic automaton; a node is any tuple of whole numbers."""

    name: str  # in errors
    characters: str  # the vocabulary's; the position is the id
    classes: npt.NDArray[np.intp]  # [characters]
    start: Node
    exact: bool = True  # whether `bound` is more than a lower bound

    def follow(self, node: Node) -> Sequence[Node | None]:
        """Return the node after each class, `[classes]`; None where no accepted text continues so."""

    def bound(self, node: Node) -> float:
        """Return the number of characters still needed; inf where no text is accepted."""


class Expression(Automaton):
    """An automaton that accepts what `re.fullmatch` matches.

    A node is the sorted states of its NFA that wait for a character, or accept.
    """

    def __init__(self, pattern: str, characters: Sequence[str], name: str) -> None:
        self.characters, self.name = _joined(characters), name
        self._targets: list[list[int]] = [[]]  # [states]; state 0 accepts
        self._atoms: list[int | None] = [None]  # [states], what it reads; None: nothing
        self._atom_numbers: dict[Character, int] = {}
        self._atom_masks = [np.ones(len(characters), np.bool_)]  # [atoms], each [characters]
        tree = regular_expression.parse(pattern)
        try:
            entry = self._build(tree, 0)
        except RecursionError:
            raise too_large(name) from None
        masks, classes = np.unique(np.stack(self._atom_masks), axis=1, return_inverse=True)
        self.classes = classes.reshape(-1)
        self._class_count = masks.shape[1]
        self._members: list[list[int]] = [np.flatnonzero(mask).tolist() for mask in masks]
        self._needs = self._find_needs()  # [states], characters to acceptance
        self.start = self._closure([entry]) or ()

    def follow(self, node: Node) -> list[Node | None]:
        targets: list[list[int]] = [[] for _ in range(self._class_count)]
        for state in node:
            if (atom := self._atoms[state]) is not None:
                for number in self._members[atom]:
                    targets[number] += self._targets[state]
        made = {key: self._closure(key) for key in set(map(tuple, targets))}
        return [made[tuple(states)] for states in targets]

    def bound(self, node: Node) -> float:
        return min((self._needs[state] for state in node), default=math.inf)

    def _closure(self, states: Sequence[int]) -> Node | None:
        """Return the live states that wait for a character, or accept, reached without one."""
        seen, todo = set(states), list(states)
        while todo:
            if self._atoms[here := todo.pop()] is None:
                todo += (new := set(self._targets[here]) - seen)
                seen |= new
        waits = (s for s in seen if self._needs[s] < math.inf and (self._atoms[s] is not None or s == 0))
        return tuple(sorted(waits)) or None

    def _find_needs(self) -> list[float]:
        sources: list[list[int]] = [[] for _ in self._targets]
        for state, targets in enumerate(self._targets):
            for target in targets:
                sources[target].append(state)
        needs, queue = [0.0] + [math.inf] * (len(sources) - 1), deque([0])
        while queue:
            here = queue.popleft()
            for state in sources[here]:
                atom = self._atoms[state]
                need = needs[here] + (atom is not None)
                if need < needs[state] and (atom is None or self._members[atom]):
                    needs[state] = need
                    (queue.append if atom is not None else queue.appendleft)(state)
        return needs

    def _add(self, targets: list[int], atom: int | None = None) -> int:
        if len(self._targets) >= MOST_STATES:
            raise too_large(self.name)
        self._targets.append(targets)
        self._atoms.append(atom)
        return len(self._targets) - 1

    def _build(self, node: regular_expression.Node, target: int) -> int:
        """Add the states of a node whose end leads to the state `target`; return its first state."""
        match node:
            case Character():
                return self._add([target], self._atom(node))
            case Concatenation(parts):
                for part in reversed(parts):
                    target = self._build(part, target)
            case Alternation(parts):
                return self._add([self._build(part, target) for part in parts])
            case Repetition():
                return self._repeat(node, target)
        return target

    def _repeat(self, node: Repetition, target: int) -> int:
        least = node.least
        if node.most is None:
            loop = self._add([target])
            target = self._build(node.part, loop)
            self._targets[loop].append(target)
            if least == 0:
                return loop
            least -= 1
        else:  # x{0,2} is (x(x)?)?: few states at once
            end = target
            for _ in range(node.most - least):
                target = self._add([self._build(node.part, target), end])
        for _ in range(least):
            if (entry := self._build(node.part, target)) == target:
                break  # the part is empty
            target = entry
        return target

    def _atom(self, character: Character) -> int:
        """Return the number of a character's mask, which `re` itself decides."""
        number = self._atom_numbers.setdefault(character, len(self._atom_masks))
        if number == len(self._atom_masks):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # `parse` has read the same syntax without them
                matcher = re.compile(character.expression, character.flags)
            mask = np.zeros(len(self.characters), np.bool_)
            mask[[match.start() for match in matcher.finditer(self.characters)]] = True
            self._atom_masks.append(mask)
        return number


class Occurrences(Automaton):
    """An automaton that accepts texts in which one of some texts occurs, or none of them.

    A node is the longest end of the characters so far that starts one of the texts (Aho and Corasick
    1975).

    Args:
        texts: At least one, none empty. One with a character that is not in the vocabulary never occurs.
        wanted: Whether one must occur; else none may.
    """

    def __init__(
        self, texts: Sequence[str], characters: Sequence[str], name: str, *, wanted: bool
    ) -> None:
        self.characters, self.name = _joined(characters), name
        if sum(map(len, texts)) > MOST_STATES:
            raise too_large(name)
        known = set(characters)
        possible = [text for text in texts if known.issuperset(text)]
        letters = set("".join(possible))
        # Class 0 is all other characters, if there are any: a class without characters is a dead end.
        classes = {c: number for number, c in enumerate(sorted(letters), known != letters)}
        self.classes = np.array([classes.get(c, 0) for c in characters], np.intp)
        self.start = (0,)
        self._class_count, self._wanted = len(classes) + (known != letters), wanted
        self._children: list[dict[int, int]] = [{}]  # [nodes], class -> longer start
        self._shorter = [0]  # [nodes], the next longest end that starts one
        self._found = [False]
        for text in possible:
            self._plant([classes[c] for c in text])
        self._needs = self._connect()  # [nodes], characters until one has occurred

    def follow(self, node: Node) -> list[Node | None]:
        if self._found[node[0]]:
            return [node] * self._class_count
        row = [(following,) for following in self._row(node[0])]
        return [None if self._found[after[0]] and not self._wanted else after for after in row]

    def bound(self, node: Node) -> float:
        return self._needs[node[0]] if self._wanted else 0

    def _plant(self, text: list[int]) -> None:
        here = 0
        for letter in text:
            if letter not in self._children[here]:
                self._children[here][letter] = len(self._children)
                self._children.append({})
                self._shorter.append(0)
                self._found.append(False)
            here = self._children[here][letter]
        self._found[here] = True

    def _connect(self) -> list[float]:
        order = [0]  # short ones first
        for here in order:
            for letter, child in self._children[here].items():
                order.append(child)
                self._shorter[child] = self._after(self._shorter[here], letter) if here else 0
                self._found[child] |= self._found[self._shorter[child]]
        needs = [0.0 if found else math.inf for found in self._found]
        for here in reversed(order):
            below = (needs[child] + 1 for child in self._children[here].values())
            needs[here] = min(needs[here], *below, math.inf)
        for here in order:
            needs[here] = min(needs[here], needs[self._shorter[here]])
        return needs

    def _after(self, here: int, letter: int) -> int:
        while here and letter not in self._children[here]:
            here = self._shorter[here]
        return self._children[here].get(letter, 0)

    def _row(self, here: int) -> list[int]:
        ends = [here]
        while here:
            ends.append(here := self._shorter[here])
        row = [0] * self._class_count
        for end in reversed(ends):  # longer ones win
            for letter, child in self._children[end].items():
                row[letter] = child
        return row


def _joined(characters: Sequence[str]) -> str:
    known = "".join(characters)
    if not known or len(known) != len(characters) or len(set(known)) != len(known):
        raise refused("A pattern needs a vocabulary", known, "distinct characters, at least one")
    return known


def too_large(name: str) -> UsageError:
    """Return the error for an automaton with too many states."""
    return UsageError(
        f"The constraints need too many states. Received: {name:.200}. Accepted: constraints with at "
        f"most about {MOST_STATES:,} states; smaller numbers in {{m,n}} need fewer."
    )


def refused(what: str, received: object, accepted: str) -> UsageError:
    """Return the error for a bad value."""
    return UsageError(f"{what}. Received: {received!r:.200}. Accepted: {accepted:.200}.")
