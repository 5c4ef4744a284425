"""Constrained generation: `GenerationConfig` -> logits processors for one run.

`--regex`, `--acrostic`, `--require` and `--ban` become one automaton over the run's characters. Its
masks
allow only characters after which the text can still be completed within the length: no text is thrown
away, and none runs into a dead end.
"""

from collections.abc import Iterator
from functools import reduce
from operator import and_

import numpy as np

from lstmega.config.generation import GenerationConfig
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import UsageError
from lstmega.inference.logits_processors import (
    ENDED,
    Banned,
    Logits,
    LogitsProcessor,
    MinP,
    NewColumns,
    NoRepeat,
    RepetitionPenalty,
    RowHistory,
    TopK,
    TopP,
    Typical,
)
from lstmega.inference.patterns import Pattern
from lstmega.inference.sampler import LogitsProcessors

_LINE = 80  # characters of a line of an acrostic: a model may not end it by itself


class Matching:
    """Allow only characters after which a text can still match a pattern.

    Args:
        pattern: Over the first ids of the vocabulary.
        rows: Texts that are generated side by side.
        length: Tokens that a text may have; None is unbounded.
    """

    def __init__(self, pattern: Pattern, rows: int, length: int | None) -> None:
        self._pattern, self._length = pattern, length
        self._states = [pattern.start] * rows
        self._follower = NewColumns()

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at characters that lead to a dead end."""
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
    """Forbid copying more than so many consecutive tokens of the training text, the prompt included.

    Args:
        training: The training text.
        most: Tokens that may be copied.
        vocabulary: Ids <-> characters.
    """

    def __init__(self, training: TextIndex, most: int, vocabulary: Vocabulary) -> None:
        self._training, self._most, self._vocabulary = training, most, vocabulary

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        """Return the logits with -inf at characters that would continue the copy."""
        if history.ids.shape[1] < self._most:
            return logits
        barred = logits.copy()
        for row, ids in enumerate(history.ids[:, history.ids.shape[1] - self._most :].tolist()):
            if ENDED not in ids:
                copied = self._training.following(self._vocabulary.decode(ids))
                known = [character for character in copied if character in self._vocabulary]
                barred[row, self._vocabulary.encode("".join(known))] = -np.inf
        return barred


class Constraints:
    """The constraints of a `GenerationConfig`, checked once against a run's characters.

    Args:
        config: The constraints.
        vocabulary: The run's vocabulary.
        training: The text that the run was trained on, for `no_copy`.
        lines: Whether the run generates single lines.
    """

    def __init__(
        self,
        config: GenerationConfig,
        vocabulary: Vocabulary,
        training: TextIndex | None,
        *,
        lines: bool = False,
    ) -> None:
        if config.no_copy is not None and training is None:
            raise UsageError("--no-copy needs the training text. Received: none.")
        self._config, self._vocabulary, self._training = config, vocabulary, training
        self._pattern = _pattern(config, vocabulary, lines)

    def processors(self, rows: int, length: int | None) -> LogitsProcessors:
        """Return the processors for texts that start now.

        Args:
            rows: Texts that are generated side by side.
            length: Tokens that a text may have; None is unbounded.

        Raises:
            UsageError: No text of that length satisfies the constraints.
        """
        return LogitsProcessors(
            tuple(self._hard(rows, length)), tuple(self._penalties()), tuple(self._truncation())
        )

    def _hard(self, rows: int, length: int | None) -> Iterator[LogitsProcessor]:
        if self._vocabulary.unknown_id is not None:
            yield Banned([self._vocabulary.unknown_id])
        if self._pattern is not None:
            least = self._pattern.least(self._pattern.start)
            if length is not None and length < least:
                raise UsageError(
                    f"--length must be at least {least:,}: no shorter text satisfies the constraints. "
                    f"Received: {length:,}."
                )
            yield Matching(self._pattern, rows, length)
        if self._config.no_copy is not None and self._training is not None:
            yield NoCopy(self._training, self._config.no_copy, self._vocabulary)

    def _penalties(self) -> Iterator[LogitsProcessor]:
        if self._config.no_repeat_ngram is not None:
            yield NoRepeat(self._config.no_repeat_ngram)
        if (penalty := self._config.repetition_penalty) is not None:
            yield RepetitionPenalty(penalty, self._config.repetition_window)

    def _truncation(self) -> Iterator[LogitsProcessor]:
        config = self._config
        if config.top_k is not None:
            yield TopK(config.top_k)
        if config.top_p is not None:
            yield TopP(config.top_p)
        if config.min_p is not None:
            yield MinP(config.min_p)
        if config.typical_p is not None:
            yield Typical(config.typical_p)


def _pattern(config: GenerationConfig, vocabulary: Vocabulary, lines: bool) -> Pattern | None:
    """Return the constraints on a whole text as one automaton, None where there are none."""
    characters = vocabulary.characters
    for name in ("regex", "acrostic"):
        if vocabulary.kind == "byte" and getattr(config, name):
            raise UsageError(
                f"--{name} applies to characters, and this run generates bytes. "
                "Accepted with bytes: --ban, --require, --no-copy."
            )
    if lines and config.acrostic is not None:
        raise UsageError(
            "--acrostic needs several lines, and this run generates single lines. Received: both. "
            "Accepted here: --regex, --require, --ban."
        )
    parts = []
    if lines and config.require and config.regex is None:
        parts.append(Pattern.regex("[^\n]*\n", characters))  # the line ends after the required text
    if config.ban:
        parts.append(Pattern.without([vocabulary.from_user(text) for text in config.ban], characters))
    parts += [Pattern.containing(vocabulary.from_user(text), characters) for text in config.require]
    if config.acrostic is not None:
        parts.append(Pattern.acrostic(config.acrostic, characters, longest=_LINE))
    if config.regex is not None:  # last: contradictions are found early
        parts.append(Pattern.regex(config.regex, characters))
    return reduce(and_, parts) if parts else None
