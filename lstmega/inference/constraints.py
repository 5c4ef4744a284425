"""What a user asks of a text, as rules for the next id.

Constraints (`--regex`, `--acrostic`, `--require`, `--ban`) become one automaton over the run's
characters, whose masks leave only what can still be completed within the length: no text is thrown away
and none runs into a dead end.
"""

from collections.abc import Iterator
from functools import reduce
from operator import and_

import numpy as np

from lstmega.config.options import WritingOptions
from lstmega.data.suffix_array import Index
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import UsageError
from lstmega.inference.logits_processors import (
    Banned,
    Filter,
    Logits,
    MinP,
    NoRepeat,
    RepetitionPenalty,
    TopK,
    TopP,
    Typical,
)
from lstmega.inference.patterns import Pattern
from lstmega.inference.row_history import ENDED, Follower, History
from lstmega.inference.sampler import Rules

_LINE = 80  # characters of a line of an acrostic: a model may not think of its end by itself


class Matching:
    """Only what can still become a text of a pattern.

    Args:
        pattern: Over the first ids of the vocabulary.
        rows: Texts that are written side by side.
        length: Tokens that a text may have; None is any number.
    """

    def __init__(self, pattern: Pattern, rows: int, length: int | None) -> None:
        self._pattern, self._length = pattern, length
        self._states = [pattern.start] * rows
        self._follower = Follower()

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at what leads nowhere."""
        for column in self._follower.new(history):
            self._states = [
                state if identity == ENDED else self._pattern.step(state, identity)
                for state, identity in zip(self._states, column.tolist(), strict=True)
            ]
        remaining = None if self._length is None else self._length - history.length
        allowed = np.zeros(logits.shape, np.bool_)  # no pattern has <unk>, the last id
        for row, state in enumerate(self._states):
            mask = self._pattern.allowed(state, remaining)
            allowed[row, : len(mask)] = mask
        return np.where(allowed, logits, -np.inf)


class NoCopy:
    """No more than so many tokens in a row that stand in the training text, the prompt's included.

    Args:
        training: The training text.
        most: Tokens that may be copied.
        vocabulary: Ids <-> characters.
    """

    def __init__(self, training: Index, most: int, vocabulary: Vocabulary) -> None:
        self._training, self._most, self._vocabulary = training, most, vocabulary

    def __call__(self, logits: Logits, history: History) -> Logits:
        """Return the logits with -inf at what would copy on."""
        if history.ids.shape[1] < self._most:
            return logits
        barred = logits.copy()
        for row, ids in enumerate(history.ids[:, history.ids.shape[1] - self._most :].tolist()):
            if ENDED not in ids:
                copied = self._training.following(self._vocabulary.decode(ids))
                known = [character for character in copied if character in self._vocabulary]
                barred[row, self._vocabulary.encode("".join(known))] = -np.inf
        return barred


class Rulebook:
    """What a user asks, checked once against a run's characters.

    Args:
        options: What the user asks.
        vocabulary: The run's.
        training: The text that the run was trained on, for `no_copy`.
        lines: Whether the run writes single lines.
    """

    def __init__(
        self,
        options: WritingOptions,
        vocabulary: Vocabulary,
        training: Index | None,
        *,
        lines: bool = False,
    ) -> None:
        if options.no_copy is not None and training is None:
            raise UsageError("--no-copy needs the training text. Received: none.")
        self._options, self._vocabulary, self._training = options, vocabulary, training
        self._pattern = _pattern(options, vocabulary, lines)

    def begun(self, rows: int, length: int | None) -> Rules:
        """Return rules for texts that begin now.

        Args:
            rows: Texts that are written side by side.
            length: Tokens that a text may have; None is any number.

        Raises:
            UsageError: No text of that length is what was asked for.
        """
        return Rules(tuple(self._hard(rows, length)), tuple(self._soft()), tuple(self._shape()))

    def _hard(self, rows: int, length: int | None) -> Iterator[Filter]:
        if self._vocabulary.unknown_id is not None:
            yield Banned([self._vocabulary.unknown_id])
        if self._pattern is not None:
            least = self._pattern.least(self._pattern.start)
            if length is not None and length < least:
                raise UsageError(
                    f"--length must be at least {least:,}: nothing shorter is what was asked for. "
                    f"Received: {length:,}."
                )
            yield Matching(self._pattern, rows, length)
        if self._options.no_copy is not None and self._training is not None:
            yield NoCopy(self._training, self._options.no_copy, self._vocabulary)

    def _soft(self) -> Iterator[Filter]:
        if self._options.no_repeat is not None:
            yield NoRepeat(self._options.no_repeat)
        if self._options.penalty is not None:
            yield RepetitionPenalty(self._options.penalty, self._options.penalty_window)

    def _shape(self) -> Iterator[Filter]:
        options = self._options
        if options.top_k is not None:
            yield TopK(options.top_k)
        if options.top_p is not None:
            yield TopP(options.top_p)
        if options.min_p is not None:
            yield MinP(options.min_p)
        if options.typical is not None:
            yield Typical(options.typical)


def _pattern(options: WritingOptions, vocabulary: Vocabulary, lines: bool) -> Pattern | None:
    """Return everything that a whole text must be, as one automaton."""
    characters = vocabulary.characters
    for name in ("regex", "acrostic"):
        if vocabulary.kind == "byte" and getattr(options, name):
            raise UsageError(
                f"--{name} is about characters, and this run writes bytes. "
                "Accepted with bytes: --ban, --require, --no-copy."
            )
    if lines and options.acrostic is not None:
        raise UsageError(
            "--acrostic is about several lines, and this run writes single ones. Received: both. "
            "Accepted here: --regex, --require, --ban."
        )
    parts = []
    if lines and options.require and options.regex is None:
        parts.append(Pattern.regex("[^\n]*\n", characters))  # the line ends, and has it before
    if options.ban:
        parts.append(Pattern.without([vocabulary.from_user(text) for text in options.ban], characters))
    parts += [Pattern.containing(vocabulary.from_user(text), characters) for text in options.require]
    if options.acrostic is not None:
        parts.append(Pattern.acrostic(options.acrostic, characters, longest=_LINE))
    if options.regex is not None:  # last: contradictions are found early
        parts.append(Pattern.regex(options.regex, characters))
    return reduce(and_, parts) if parts else None
