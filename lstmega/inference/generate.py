"""Generate text with a trained run: the prompt is read once, all texts are rows of one batch.

`sampler.generate_ids` samples ids; here they become text, for a whole call (`sample`) or piece by piece
(`stream`). A `TextGenerator` continues texts from any position that was read before.
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

from lstmega.config.base import check_choice, check_int, usage_error
from lstmega.config.generation import GenerationConfig
from lstmega.config.training import Mix
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import UnknownPolicy, Vocabulary
from lstmega.inference import sampler
from lstmega.inference.adaptation import AdaptiveDecoder
from lstmega.inference.constraints import Constraints
from lstmega.inference.decoder import AdaptableStepper, Ids, log_softmax
from lstmega.inference.logits_processors import ENDED
from lstmega.inference.mixture import MixedDecoder
from lstmega.inference.outputs import Sample, Samples, Stream
from lstmega.inference.sampler import GeneratedStep, Position
from lstmega.inference.temperature import Varied, check_temperatures

EXCERPT_LENGTH = 100  # characters: the reference notebook's seed
_NEAR = 60  # characters within which an excerpt looks for the start of a line or word
_MOST_TEXTS = 10_000
MOST_SEED = 2**63 - 1


class GeneratingRun(Protocol):
    """The interface of a run that generates text."""

    @property
    def name(self) -> str: ...
    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def held_out(self) -> str:
        """The held-out text; may be empty."""

    @property
    def lines(self) -> bool:
        """Whether each line is a text of its own."""

    def decoder(self, mix: Mix | None = None) -> AdaptableStepper:
        """Return the decoder of the trained weights, with or without the n-gram model."""


def sample(
    run: GeneratingRun,
    *,
    temperatures: Iterable[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    num_samples: int = 1,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    config: GenerationConfig | None = None,
    training: TextIndex | None = None,
    scored: bool = False,
) -> Samples:
    """Generate texts, all temperatures and repeats in one batch; arguments as for `lstmega.sample`.

    Args:
        run: A trained generator.
        temperatures: Each at least 0. With `config.vary` each text cycles through all of them.
        length: Tokens to generate at most (characters, or bytes where the run's tokens are bytes).
        prompt: An empty prompt is a line end where the run knows one, else its first character. A run of
            lines starts a line with the prompt, and ends with the line.
        seed: From 0 to 2**63 - 1; None draws one, which each `Sample` reports.
        config: Constraints and stop conditions.
        training: The text that the run was trained on, for `no_copy`.
        scored: Keep the cost of each token.

    Returns:
        One sample per text; temperatures in the order given, repeats of each together. A text depends on
        (seed, temperature, its number among the repeats) alone: see `sampler.generate_ids`.

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters under `unknown="error"`.
        RunError: The run has no usable weights.
    """
    count = check_count(num_samples)
    length = check_int("--length", length, 0, sys.maxsize)
    generator = TextGenerator(run, check_temperatures(temperatures), config, training)
    ids, start = opening(run, prompt, seed, unknown)
    position = generator.read(ids)
    return generator.write(position, start, length=length, num_samples=count, scored=scored)


def stream(
    run: GeneratingRun,
    *,
    temperatures: Iterable[float] = (0.8,),
    length: int | None = 1000,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    config: GenerationConfig | None = None,
    training: TextIndex | None = None,
) -> Stream:
    """Generate one text piece by piece; together the pieces are the text that `sample` generates.

    Arguments (and errors, as for `sample`) are checked at once, the prompt is read at the first piece.

    Args:
        temperatures: One, or with `config.vary` several to cycle through.
        length: Tokens to generate; None never ends.

    Returns:
        An iterator of pieces of text, usually one character each, more after the possible beginning of a
        stop text. `.start` has the seed and the prompt that were used.
    """
    length = None if length is None else check_int("--length", length, 0, sys.maxsize)
    generator = TextGenerator(run, check_temperatures(temperatures), config, training)
    rows = generator.rows(1)
    if len(rows) > 1:
        raise usage_error("temperatures", "one, or with vary several", list(temperatures))
    ids, start = opening(run, prompt, seed, unknown)
    return Stream(generator.stream(ids, start, length), replace(start, temperature=rows[0]))


def check_count(value: object) -> int:
    """Return a number of texts at each temperature; UsageError where it is out of bounds."""
    return check_int("--num-samples", value, 1, _MOST_TEXTS)


class TextGenerator:
    """A run's decoder and constraints: generates texts from any position that was read.

    Args:
        run: A trained generator.
        temperatures: As `check_temperatures` returns them.
        config: Constraints and stop conditions; None has none.
        training: The text that the run was trained on, for `no_copy`.
        adapt: Whether `read` adapts to the text.

    Raises:
        UsageError: The constraints cannot be satisfied with the run's characters.
        RunError: The run has no usable weights.
    """

    def __init__(
        self,
        run: GeneratingRun,
        temperatures: Sequence[float],
        config: GenerationConfig | None = None,
        training: TextIndex | None = None,
        *,
        adapt: bool = False,
    ) -> None:
        self._vocabulary = run.vocabulary
        self.temperatures = temperatures
        self._config = config or GenerationConfig()
        self._constraints = Constraints(self._config, run.vocabulary, training, lines=run.lines)
        self._lines_left = self._config.lines or (1 if run.lines else sys.maxsize)
        decoder = run.decoder(self._config.mix)
        self._decoder = AdaptiveDecoder(decoder) if adapt else decoder

    def read(self, ids: Ids, after: Position | None = None, *, own: bool = True) -> Position:
        """Read `ids [time]`, at least one, after a position; None is before any text.

        Args:
            own: Whether a person wrote them: what a model wrote itself is not learnt.
        """
        if isinstance(self._decoder, AdaptiveDecoder):
            return sampler.learn(self._decoder, ids, after, own=own)
        return sampler.read(self._decoder, ids, after)

    def at(self, temperatures: Sequence[float]) -> "TextGenerator":
        """Return a generator with the same weights and constraints at other temperatures."""
        other = copy.copy(self)
        other.temperatures = temperatures
        return other

    def rows(self, num_samples: int) -> list[float]:
        """Return the temperature of each text, `num_samples` times each."""
        each = self.temperatures[:1] if self._config.vary else self.temperatures
        return [temperature for temperature in each for _ in range(num_samples)]

    def write(
        self,
        position: Position,
        start: Sample,
        *,
        length: int,
        num_samples: int = 1,
        scored: bool = False,
        with_end: bool = False,
    ) -> Samples:
        """Continue from a position; other arguments and results as for `sample`.

        Args:
            position: The position that all texts continue from.
            start: The fields that all samples share.
            with_end: Keep the stop text or line end that ended a text, so that another may follow.
        """
        rows = self.rows(num_samples)
        if len(rows) > _MOST_TEXTS:
            accepted, received = f"at most {_MOST_TEXTS:,} texts at once", f"{len(rows):,} texts"
            raise usage_error("--temps x --num-samples", accepted, received)
        detectors = [self._detector(with_end) for _ in rows]
        mixture = self._decoder if isinstance(self._decoder, MixedDecoder) else None
        nats, shares = [], []
        for step in self._steps(position, start.seed, rows, length):
            for detector, identity in zip(detectors, step.ids.tolist(), strict=True):
                detector.write(identity)
            if scored:
                surprisal = -log_softmax(step.logits)  # [rows, vocabulary]
                nats.append(surprisal[np.arange(len(rows)), step.ids.clip(min=0)])  # [rows]
            if mixture is not None:
                shares.append(mixture.ngram_shares(step.states)[: len(rows)])
            if all(detector.done for detector in detectors):
                break
        for detector in detectors:
            detector.finish()
        # Each `[rows, time]`, or None for each row.
        costs = np.array(nats).reshape(-1, len(rows)).T if scored else [None] * len(rows)
        parts = np.array(shares).reshape(-1, len(rows)).T if mixture else [None] * len(rows)
        return Samples(
            replace(
                start,
                temperature=temperature,
                text=detector.text,
                nats=None if cost is None else cost[: detector.tokens],
                ngram_share=None if part is None else part[: detector.tokens],
            )
            for temperature, detector, cost, part in zip(rows, detectors, costs, parts, strict=True)
        )

    def stream(self, ids: Ids, start: Sample, length: int | None) -> Iterator[str]:
        """Yield the pieces of one text after `ids`, as the function of this name does."""
        detector = self._detector()
        for step in self._steps(self.read(ids), start.seed, self.rows(1), length):
            if piece := detector.write(int(step.ids[0])):
                yield piece
            if detector.done:
                return
        if piece := detector.finish():
            yield piece

    def _steps(
        self, position: Position, seed: int, rows: Sequence[float], length: int | None
    ) -> Iterator[GeneratedStep]:
        steps = sampler.generate_ids(
            position.decoder or self._decoder,
            position,
            temperatures=rows,
            seed=seed,
            processors=self._constraints.processors(len(rows), length),
            vary=self._varied(len(rows)),
        )
        return islice(steps, length)

    def _detector(self, with_end: bool = False) -> "StopDetector":
        return StopDetector(self._vocabulary, self._config.stop, self._lines_left, with_end)

    def _varied(self, rows: int) -> Varied | None:
        if self._config.vary is None:
            return None
        ends = [
            identity
            for identity, character in enumerate(self._vocabulary.characters)
            if character == "\n" or (self._config.vary == "word" and character.isspace())
        ]
        return Varied(self.temperatures, self._config.vary, ends, rows)


def excerpt(text: str, seed: int, length: int = EXCERPT_LENGTH) -> str:
    """Return a random part of `length` characters, from the start of a line or a word where one is near.

    The same seed gives the same part; a shorter text is returned whole.
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


class StopDetector:
    """Converts the ids of one row to text that ends at a stop text or after `lines` line ends.

    The end of the text is held back as long as it may be the beginning of a stop text.
    """

    def __init__(self, vocabulary: Vocabulary, stops: Sequence[str], lines: int, with_end: bool) -> None:
        self._vocabulary, self._with_end = vocabulary, with_end
        self._decode = vocabulary.incremental_decoder()
        self._stops, self._lines_left = stops, lines
        self._held = ""
        self.text = ""
        self.done = False

    def write(self, identity: int) -> str:
        """Add an id, and return the new text that is certain, possibly none."""
        if self.done or identity == ENDED:
            return self.finish()
        return self._release(self._decode(identity))

    @property
    def tokens(self) -> int:
        """Number of tokens of the text, up to the stop text."""
        return len(self._vocabulary.from_user(self.text))

    def finish(self) -> str:
        """End the row, and return the rest of its text."""
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
    """Return the number of characters at the end of a text that may be the beginning of `stop`."""
    sizes = range(min(len(stop) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(stop[:size])), 0)


def opening(
    run: GeneratingRun, prompt: str | None, seed: int | None, unknown: UnknownPolicy
) -> tuple[Ids, Sample]:
    """Return the ids of the prompt, and the fields that all samples share; errors as for `sample`."""
    seed = secrets.randbits(32) if seed is None else check_int("--seed", seed, 0, MOST_SEED)
    check_choice("--unknown", unknown, get_args(UnknownPolicy))
    if prompt is not None and not isinstance(prompt, str):
        raise usage_error("--prompt", "text", prompt)
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
