"""Write text with a trained run: the prompt once, one row for each text, a column at a time.

`samplers.columns` chooses ids; here they become text, for a whole call (`sample`) or as they come
(`stream`). A `Desk` is where texts go on from a position that was read before.
"""

import copy
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Protocol, get_args

import numpy as np
import numpy.typing as npt

from lstmega.config.base import refusal, whole
from lstmega.config.options import WritingOptions
from lstmega.data.suffix_array import Index
from lstmega.data.vocabulary import UnknownPolicy, Vocabulary
from lstmega.inference import sampler as samplers
from lstmega.inference.constraints import Rulebook
from lstmega.inference.decoder import Decoder, Ids, log_softmax
from lstmega.inference.outputs import Sample, Samples, Stream
from lstmega.inference.row_history import ENDED
from lstmega.inference.sampler import Column, Position
from lstmega.inference.temperature import Varied, check_temperatures

EXCERPT_LENGTH = 100  # characters: the reference notebook's seed
_NEAR = 60  # characters within which an excerpt looks for the start of a line or word
_MOST_TEXTS = 10_000
_MOST_SEED = 2**63 - 1


class TrainedRun(Protocol):
    """What `sample` and `stream` need of a run."""

    @property
    def name(self) -> str:
        """The run's name."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """Its characters and their ids."""
        ...

    @property
    def held_out(self) -> str:
        """The text that training never saw, in the vocabulary's code points; may be empty."""
        ...

    @property
    def lines(self) -> bool:
        """Whether each line is a text of its own."""
        ...

    def decoder(self) -> Decoder:
        """Return the trained weights as a decoder."""
        ...


def sample(
    run: TrainedRun,
    *,
    temperatures: Iterable[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    count: int = 1,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    options: WritingOptions | None = None,
    training: Index | None = None,
    scored: bool = False,
) -> Samples:
    """Write with a trained run, all temperatures and repeats in one batch.

    Args:
        run: What `lstmega.train` and `lstmega.load` return.
        temperatures: Each at least 0; 0 takes the most probable character. With `options.vary` all
            are gone through within each text.
        length: Tokens to write at most (characters, or bytes where the run's tokens are bytes).
        prompt: What the text goes on from. Empty: a newline where the run knows one, else its first
            character. None: a random excerpt of the held-out text (where there is none, as empty).
            A run of lines begins a line, with the prompt if there is one, and ends with it.
        count: Texts per temperature.
        seed: From 0 to 2**63 - 1. None: a fresh one, which each `Sample` reports.
        unknown: What becomes of prompt characters that the run has never seen.
        options: What may follow, and what ends a text.
        training: The text that the run was trained on, for `no_copy`.
        scored: Keep what each token cost the model.

    Returns:
        One sample per text; temperatures in the order given, repeats of each together. A text
        depends on (seed, temperature, its number among the repeats) alone: see `columns`.

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters under `unknown="error"`.
        RunError: The run has no usable weights.
    """
    count = whole("--count", count, 1, _MOST_TEXTS)
    length = whole("--length", length, 0, sys.maxsize)
    desk = Desk(run, check_temperatures(temperatures), options, training)
    ids, start = opening(run, prompt, seed, unknown)
    return desk.write(desk.read(ids), start, length=length, count=count, scored=scored)


def stream(
    run: TrainedRun,
    *,
    temperatures: Iterable[float] = (0.8,),
    length: int | None = 1000,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    options: WritingOptions | None = None,
    training: Index | None = None,
) -> Stream:
    """Write one text piece by piece; together the pieces are what `sample` writes.

    Arguments are checked at once, the prompt is read at the first piece.

    Args:
        run: What `lstmega.train` and `lstmega.load` return.
        temperatures: One, or with `options.vary` those to go through.
        length: Tokens to write; None never ends.
        prompt, seed, unknown, options, training: As in `sample`.

    Returns:
        An iterator of pieces of text, usually one character each; where a piece may be the
        beginning of a stop text, it waits. `.start` has the seed and the prompt that were used.

    Raises:
        UsageError, PromptError, RunError: As in `sample`.
    """
    length = None if length is None else whole("--length", length, 0, sys.maxsize)
    desk = Desk(run, check_temperatures(temperatures), options, training)
    if len(desk.rows(1)) > 1:
        raise refusal("temperatures", "one, or with vary those to go through", list(temperatures))
    ids, start = opening(run, prompt, seed, unknown)
    return Stream(desk.stream(ids, start, length), replace(start, temperature=desk.rows(1)[0]))


class Desk:
    """Where a run writes: its decoder, its rules, and texts that go on from any position.

    Args:
        run: What writes.
        temperatures: As `check_temperatures` returns them.
        options: What may follow, and what ends a text; None is everything, and nothing does.
        training: The text that the run was trained on, for `no_copy`.

    Raises:
        UsageError: The options cannot be fulfilled with the run's characters.
        RunError: The run has no usable weights.
    """

    def __init__(
        self,
        run: TrainedRun,
        temperatures: Sequence[float],
        options: WritingOptions | None = None,
        training: Index | None = None,
    ) -> None:
        self._vocabulary = run.vocabulary
        self._temperatures = temperatures
        self._options = options or WritingOptions()
        self._rules = Rulebook(self._options, run.vocabulary, training, lines=run.lines)
        self._lines_left = self._options.lines or (1 if run.lines else sys.maxsize)
        self._decoder = run.decoder()

    def read(self, ids: Ids, after: Position | None = None) -> Position:
        """Read `ids [time]`, at least one, on from a position; None is before any text."""
        return samplers.read(self._decoder, ids, after)

    def at(self, temperatures: Sequence[float]) -> "Desk":
        """Return a desk of the same weights and rules at other temperatures."""
        other = copy.copy(self)
        other._temperatures = temperatures
        return other

    def rows(self, count: int) -> list[float]:
        """Return the temperature of each text, where there are `count` for each."""
        each = self._temperatures[:1] if self._options.vary else self._temperatures
        return [temperature for temperature in each for _ in range(count)]

    def write(
        self,
        position: Position,
        start: Sample,
        *,
        length: int,
        count: int = 1,
        scored: bool = False,
        with_end: bool = False,
    ) -> Samples:
        """Write on from a position; arguments and results as for `sample`.

        Args:
            position: Where all texts go on from.
            start: What they have in common.
            with_end: Keep the stop text or line end that ended a text, so that another may follow.
        """
        rows = self.rows(count)
        if len(rows) > _MOST_TEXTS:
            raise refusal(
                "--temps x --count", f"at most {_MOST_TEXTS:,} texts at once", f"{len(rows):,} texts"
            )
        writers = [self._writer(with_end) for _ in rows]
        nats = []
        for column in self._columns(position, start.seed, rows, length):
            for writer, identity in zip(writers, column.ids.tolist(), strict=True):
                writer.write(identity)
            if scored:
                nats.append(_nats(column))  # [rows]
            if all(writer.done for writer in writers):
                break
        for writer in writers:
            writer.finish()
        costs = np.array(nats).reshape(-1, len(rows)).T  # [rows, time]
        return Samples(
            replace(
                start,
                temperature=temperature,
                text=writer.text,
                nats=row[: writer.tokens] if scored else None,
            )
            for temperature, writer, row in zip(rows, writers, costs, strict=True)
        )

    def stream(self, ids: Ids, start: Sample, length: int | None) -> Iterator[str]:
        """Yield pieces of one text after `ids`; see the function of this name."""
        writer = self._writer()
        for column in self._columns(self.read(ids), start.seed, self.rows(1), length):
            if piece := writer.write(int(column.ids[0])):
                yield piece
            if writer.done:
                return
        if piece := writer.finish():
            yield piece

    def _columns(
        self, position: Position, seed: int, rows: Sequence[float], length: int | None
    ) -> Iterator[Column]:
        columns = samplers.columns(
            self._decoder,
            position,
            temperatures=rows,
            seed=seed,
            rules=self._rules.begun(len(rows), length),
            vary=self._varied(len(rows)),
        )
        return islice(columns, length)

    def _writer(self, with_end: bool = False) -> "_Writer":
        return _Writer(self._vocabulary, self._options.stop, self._lines_left, with_end)

    def _varied(self, rows: int) -> Varied | None:
        if self._options.vary is None:
            return None
        ends = [
            identity
            for identity, character in enumerate(self._vocabulary.characters)
            if character == "\n" or (self._options.vary == "word" and character.isspace())
        ]
        return Varied(self._temperatures, self._options.vary, ends, rows)


def _nats(column: Column) -> npt.NDArray[np.float64]:
    costs: npt.NDArray[np.float64] = -log_softmax(column.logits)[
        np.arange(len(column.ids)), column.ids.clip(min=0)
    ]
    return costs  # [rows]


def excerpt(text: str, seed: int, length: int = EXCERPT_LENGTH) -> str:
    """Return a random part of a text, from the start of a line or a word where one is near.

    Args:
        text: Any text.
        seed: The same seed gives the same part.
        length: Characters; a shorter text is returned whole.
    """
    last = len(text) - length
    if last <= 0:
        return text
    start = int(np.random.default_rng(seed).integers(last + 1))
    if start == 0:
        return text[:length]
    near = text[start - 1 : min(start + _NEAR, last + 1)]
    found = re.search(r"\n\s*(?=\S)", near) or re.search(r"\s+(?=\S)", near)
    start += found.end() - 1 if found else 0
    return text[start : start + length]


class _Writer:
    """Ids of one row -> its text; done at its end, whose beginnings are held back."""

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str], lines: int, with_end: bool) -> None:
        self._vocabulary, self._with_end = vocabulary, with_end
        self._decode = vocabulary.incremental_decoder()
        self._stops, self._lines_left = stops, lines
        self._held = ""
        self.text = ""
        self.done = False

    def write(self, identity: int) -> str:
        """Return the text that is certain now, possibly none."""
        if self.done:
            return ""
        if identity == ENDED:
            return self.finish()
        return self._release(self._decode(identity))

    @property
    def tokens(self) -> int:
        """How many tokens the text has, what a stop text cut off left out."""
        return len(self._vocabulary.from_user(self.text))

    def finish(self) -> str:
        """Return the rest of a row that has come to its length."""
        if self.done:
            return ""
        rest = self._release(self._decode.finish()) + self._held
        self.text += self._held
        self.done = True
        return rest

    def _release(self, text: str) -> str:
        text = self._held + text
        ends = [(at, at + len(stop)) for stop in self._stops if (at := text.find(stop)) >= 0]
        line_ends = [(at, at + 1) for at, character in enumerate(text) if character == "\n"]
        ends += line_ends[self._lines_left - 1 :][:1]
        self.done = bool(ends)
        text = text[: min(ends, default=(len(text), len(text)))[self._with_end]]
        held = 0 if self.done else max((_begun(text, stop) for stop in self._stops), default=0)
        text, self._held = text[: len(text) - held], text[len(text) - held :]
        self._lines_left -= text.count("\n")
        self.text += text
        return text


def _begun(text: str, stop: str) -> int:
    """Return how many characters at the end of a text may be the beginning of `stop`."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


def opening(
    run: TrainedRun, prompt: str | None, seed: int | None, unknown: UnknownPolicy
) -> tuple[Ids, Sample]:
    """Return the ids to read first, and what all texts that follow have in common.

    Args and errors as for `sample`.
    """
    seed = secrets.randbits(32) if seed is None else whole("--seed", seed, 0, _MOST_SEED)
    if unknown not in get_args(UnknownPolicy):
        raise refusal("--unknown", f"one of: {', '.join(get_args(UnknownPolicy))}", unknown)
    if prompt is not None and not isinstance(prompt, str):
        raise refusal("--prompt", "text", prompt)
    vocabulary, shown = run.vocabulary, prompt or ""
    is_excerpt = prompt is None and bool(run.held_out) and not run.lines
    if is_excerpt:
        ids = vocabulary.encode(excerpt(run.held_out, seed))
        decode = vocabulary.incremental_decoder()
        shown = "".join(map(decode, ids.tolist())) + decode.finish()
    else:
        ids = vocabulary.encode_prompt("\n" * run.lines + shown, unknown=unknown)
    if len(ids) == 0:  # or every character was dropped by --unknown
        ids = vocabulary.encode("\n" if "\n" in vocabulary else vocabulary.characters[0])
    return ids, Sample(run.name, 0.0, seed, shown, "", is_excerpt)
