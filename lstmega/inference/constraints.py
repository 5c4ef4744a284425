"""Constrained generation: `GenerationConfig` -> logits processors for one run.

`--regex`, `--acrostic`, `--require` and `--ban` become one automaton over the run's characters. It
allows only characters after which the text can still be completed within the length, so that no text is
thrown away, and none reaches a dead end.
"""

from functools import partial, reduce
from operator import and_

import numpy as np

from lstmega.config.generation import GenerationConfig
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import Vocabulary
from lstmega.errors import UsageError
from lstmega.inference.logits_processors import (
    ENDED,
    TRUNCATION,
    Logits,
    LogitsProcessor,
    NoRepeat,
    RowHistory,
    ban,
    penalise_repetition,
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
        self._read = 0  # ids of each row that led to the states

    def __call__(self, logits: Logits, history: RowHistory) -> Logits:
        for column in history.written[:, self._read :].T:
            self._states = [
                state if identity == ENDED else self._pattern.step(state, identity)
                for state, identity in zip(self._states, column.tolist(), strict=True)
            ]
        self._read = history.length
        remaining = None if self._length is None else self._length - history.length
        allowed = np.zeros(logits.shape, np.bool_)  # no pattern has <unk>, the last id
        for row, state in enumerate(self._states):
            mask = self._pattern.allowed(state, remaining)
            allowed[row, : len(mask)] = mask
        return np.where(allowed, logits, -np.inf)


def no_copy(
    most: int, training: TextIndex, vocabulary: Vocabulary, logits: Logits, history: RowHistory
) -> Logits:
    """Exclude characters that would copy more than `most` of the training text; the prompt counts."""
    if history.ids.shape[1] < most:
        return logits
    kept = logits.copy()
    for row, ids in enumerate(history.ids[:, -most:].tolist()):
        if ENDED not in ids:
            copied = training.following(vocabulary.decode(ids))
            known = [character for character in copied if character in vocabulary]
            kept[row, vocabulary.encode("".join(known))] = -np.inf
    return kept


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
        config, constraints, penalties = self._config, list[LogitsProcessor](), list[LogitsProcessor]()
        if self._vocabulary.unknown_id is not None:
            constraints.append(partial(ban, [self._vocabulary.unknown_id]))
        if self._pattern is not None:
            least = self._pattern.least(self._pattern.start)
            if length is not None and length < least:
                raise UsageError(
                    f"--length must be at least {least:,}: no shorter text satisfies the constraints. "
                    f"Received: {length:,}."
                )
            constraints.append(Matching(self._pattern, rows, length))
        if config.no_copy is not None and self._training is not None:
            constraints.append(partial(no_copy, config.no_copy, self._training, self._vocabulary))
        if config.no_repeat_ngram is not None:
            penalties.append(NoRepeat(config.no_repeat_ngram))
        if (penalty := config.repetition_penalty) is not None:
            penalties.append(partial(penalise_repetition, penalty, config.repetition_window))
        options = ((truncate, getattr(config, name)) for name, truncate in TRUNCATION.items())
        truncation = [partial(truncate, value) for truncate, value in options if value is not None]
        return LogitsProcessors(constraints, penalties, truncation)


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
