"""Write text with a trained run: the prompt once, one row per temperature, a column at a time.

    logits / temperature -> top-k -> top-p -> min-p -> Gumbel-max -> ids [rows] -> text

`columns` is the engine: it knows ids only and never ends. `sample` and `stream` wrap it in text.
"""

import html
import math
import numbers
import re
import secrets
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from itertools import groupby, islice
from typing import Any, Protocol, get_args, overload

import numpy as np
import numpy.typing as npt

from lstmega.decoder import Array, Decoder, Ids, States, repeat
from lstmega.errors import UsageError
from lstmega.vocabulary import UnknownPolicy, Vocabulary

Logits = npt.NDArray[np.float64]

EXCERPT_LENGTH = 100  # characters: the reference notebook's seed
_NEAR = 60  # characters within which an excerpt looks for the start of a line or word
_MOST_TEMPERATURES = 1000
_MOST_COUNT = 10_000
_MOST_SEED = 2**63 - 1
_SMALLEST = np.finfo(np.float64).tiny  # keeps log(0) out of the noise
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Stepper(Protocol):
    """What `columns` needs of a decoder; each state array has its rows on the last axis."""

    def zero_states(self, rows: int) -> States:
        """Return the states before any text."""
        ...

    def read(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [time]`; return logits `[rows, vocabulary]` and new states."""
        ...

    def step(self, ids: Ids, states: States) -> tuple[Array, States]:
        """Read `ids [rows]`; return logits `[rows, vocabulary]` and new states."""
        ...


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

    def decoder(self) -> Decoder:
        """Return the trained weights as a decoder."""
        ...


# Temperatures and filters.


def parse_temperatures(text: str) -> tuple[float, ...]:
    """Read a list of temperatures as the command line takes it.

    Args:
        text: Numbers and ranges `start:stop:step` (the end included) between commas:
            `0.5,0.8`, `0.2:1.4:0.2`, `0,0.5:1:0.25`.

    Returns:
        The temperatures in the order given, ranges in decimal steps without drift.

    Raises:
        UsageError: A part is no number of at least 0, a range runs backwards, or there are more
            than 1,000.
    """
    temperatures: list[float] = []
    for part in text.split(","):
        temperatures += _temperature_range(part.strip(), text)
    if len(temperatures) > _MOST_TEMPERATURES:
        raise _bad_temperatures(f"lists more than {_MOST_TEMPERATURES} numbers", text)
    return tuple(temperatures)


def _temperature_range(part: str, text: str) -> list[float]:
    try:
        values = [Decimal(piece.strip()) for piece in part.split(":")]
    except InvalidOperation:
        raise _bad_temperatures(f"has {part!r:.60}, which is no number", text) from None
    for value in values:
        if not value.is_finite() or not math.isfinite(float(value)) or value < 0:
            raise _bad_temperatures(f"has {value}, which is not finite and at least 0", text)
    if len(values) == 1:
        return [float(values[0])]
    if len(values) != 3:
        raise _bad_temperatures(f"has {part!r:.60}, which is no start:stop:step", text)
    start, stop, step = values
    if step == 0 or stop < start:
        raise _bad_temperatures(f"has {part!r:.60}, which never reaches its end", text)
    if (stop - start) / step > _MOST_TEMPERATURES:
        raise _bad_temperatures(f"lists more than {_MOST_TEMPERATURES} numbers", text)
    return [float(start + number * step) for number in range(int((stop - start) / step) + 1)]


def _bad_temperatures(what: str, received: object) -> UsageError:
    return UsageError(
        f"--temps {what}. Received: {received!r:.200}. "
        "Accepted: finite numbers of at least 0 and ranges, such as 0.5,0.8 or 0.2:1.4:0.2."
    )


@dataclass(frozen=True)
class Filters:
    """Which ids may follow, from the logits after temperature, in the order of the fields.

    Args:
        top_k: Keep the k most probable ids, all where there are fewer (Fan et al. 2018).
        top_p: Of these keep the fewest most probable ones that together have at least this share
            of the probability (nucleus sampling, Holtzman et al. 2020).
        min_p: Of these keep those at least this many times as probable as the most probable one
            (Nguyen et al. 2024).

    The lower id ranks first among equals. The most probable id always stays.

    Raises:
        UsageError: A value is out of bounds.
    """

    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None

    def __post_init__(self) -> None:
        if self.top_k is not None:
            _whole("--top-k", self.top_k, 1, sys.maxsize)
        if self.top_p is not None and not 0 < _real("--top-p", self.top_p) <= 1:
            raise _bad("--top-p", "above 0 and at most 1", self.top_p)
        if self.min_p is not None and not 0 <= _real("--min-p", self.min_p) <= 1:
            raise _bad("--min-p", "from 0 to 1", self.min_p)

    def apply(self, logits: Logits) -> Logits:
        """Return the logits with -inf for every id that may not follow.

        Args:
            logits: `[rows, vocabulary]`, after temperature.
        """
        if self.top_k is not None or (self.top_p is not None and self.top_p < 1):
            logits = self._ranked(logits)
        if self.min_p:
            least = logits.max(axis=1, keepdims=True) + math.log(self.min_p)  # [rows, 1]
            logits = np.where(logits >= least, logits, -np.inf)
        return logits

    def _ranked(self, logits: Logits) -> Logits:
        order = np.argsort(-logits, axis=1, kind="stable")  # [rows, rank] -> id
        ranked = np.take_along_axis(logits, order, axis=1)  # [rows, rank]
        if self.top_k is not None:
            ranked[:, self.top_k :] = -np.inf
        if self.top_p is not None and self.top_p < 1:
            mass = np.cumsum(np.exp(ranked - ranked[:, :1]), axis=1)  # [rows, rank]
            ranked[:, 1:][mass[:, :-1] >= self.top_p * mass[:, -1:]] = -np.inf
        kept = np.empty_like(logits)
        np.put_along_axis(kept, order, ranked, axis=1)
        return kept  # [rows, vocabulary]


def choose(
    logits: npt.NDArray[np.floating],
    temperatures: npt.NDArray[np.float64],
    filters: Filters,
    generators: Sequence[np.random.Generator],
) -> npt.NDArray[np.intp]:
    """Draw one id per row.

    The Gumbel-max trick (Gumbel 1954; Maddison et al. 2014): argmax(logits / temperature + g) has
    the softmax distribution where g = -log(e), e ~ Exp(1). In float64.

    Args:
        logits: `[rows, vocabulary]`, at least one finite per row; -inf is never drawn.
        temperatures: `[rows]`, finite, at least 0; 0 takes the most probable id, the lowest where
            several are.
        filters: Applied after temperature (after temperature 1 where it is 0).
        generators: One per row; only its own row draws from it.

    Returns:
        Ids `[rows]`.
    """
    scaled = logits.astype(np.float64, order="C")  # [rows, vocabulary]
    # With the largest at 0 no temperature can make a nan: the others go to -inf at worst.
    scaled -= scaled.max(axis=1, keepdims=True)
    with np.errstate(over="ignore"):
        scaled /= np.where(temperatures > 0, temperatures, 1.0)[:, np.newaxis]
    scaled = filters.apply(scaled)
    noise = np.ones_like(scaled)
    for row, generator in enumerate(generators):
        if temperatures[row] > 0:
            generator.standard_exponential(out=noise[row])
    np.maximum(noise, _SMALLEST, out=noise)
    scaled -= np.log(noise, out=noise)
    ids: npt.NDArray[np.intp] = scaled.argmax(axis=1)
    return ids  # [rows]


def columns(
    decoder: Stepper,
    prompt_ids: Ids,
    *,
    temperatures: Sequence[float],
    seed: int,
    filters: Filters | None = None,
    forbidden: Sequence[int] = (),
) -> Iterator[npt.NDArray[np.intp]]:
    """Yield the ids that follow a prompt, one column of all rows at a time, for ever.

    A row's randomness comes from (seed, its temperature, its number among the rows of the same
    temperature) alone. So the row of temperature 0.8 writes the same text whatever other
    temperatures and however many repeats are asked for, and in whatever order. The one exception:
    a BLAS library may round the last bits of a logit (about 1e-7) otherwise for another number of
    rows, which changes a text from where two candidates were that close (in none of the 20,000
    characters that we compared). The same rows on the same machine always write the same texts.

    Args:
        decoder: What makes logits from ids; see `Stepper`.
        prompt_ids: `[time]`, at least one; read once, then repeated to all rows.
        temperatures: One per row.
        seed: From 0 to 2**63 - 1.
        filters: None keeps every id.
        forbidden: Ids that never follow.

    Yields:
        Ids `[rows]`.
    """
    filters = filters or Filters()
    generators = _generators(temperatures, seed)
    by_row = np.array(temperatures, np.float64)  # [rows]
    logits, states = decoder.read(prompt_ids, decoder.zero_states(1))  # [1, vocabulary]
    logits, rows = np.repeat(logits, len(by_row), axis=0), len(by_row)
    # BLAS kernels take columns by fours: five rows cost more than eight (measured, OpenBLAS).
    padded = np.zeros(rows if rows < 4 else rows + -rows % 4, np.intp)
    states = repeat(states, len(padded))
    barred = np.zeros(logits.shape[1], np.float32)  # [vocabulary]
    barred[list(forbidden)] = -np.inf
    while True:
        ids = choose(logits + barred if forbidden else logits, by_row, filters, generators)
        yield ids
        padded[:rows] = ids
        logits, states = decoder.step(padded, states)
        logits = logits[:rows]  # [rows, vocabulary]


def _generators(temperatures: Sequence[float], seed: int) -> list[np.random.Generator]:
    seen: Counter[float] = Counter()
    generators = []
    for temperature in temperatures:
        bits = int(np.float64(temperature).view(np.uint64))
        generators.append(np.random.default_rng([seed, bits, seen[temperature]]))
        seen[temperature] += 1
    return generators


# Text.


@dataclass(frozen=True)
class Sample:
    """One text that a run wrote.

    Args:
        run: The run's name.
        temperature: What the logits were divided by.
        seed: Of the whole call.
        prompt: What came before, as a reader sees it.
        text: What the run wrote, without the prompt.
        prompt_is_excerpt: Whether the prompt was taken from the held-out text.
    """

    run: str
    temperature: float
    seed: int
    prompt: str
    text: str
    prompt_is_excerpt: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object of `sample --json`."""
        return {
            "run": self.run,
            "temperature": self.temperature,
            "seed": self.seed,
            "prompt": self.prompt,
            "text": self.text,
        }

    def __str__(self) -> str:
        return f"{_heading(self)}\n{_printable(self.prompt + self.text)}"


class Samples(Sequence[Sample]):
    """The result of `sample`: a sequence that shows itself in a terminal and a notebook."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = tuple(samples)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> "Samples": ...
    def __getitem__(self, index: int | slice) -> "Sample | Samples":
        found = self._samples[index]
        return Samples(found) if isinstance(found, tuple) else found

    def __len__(self) -> int:
        return len(self._samples)

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the JSON list of `sample --json`."""
        return [sample.to_dict() for sample in self]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self))

    def __repr__(self) -> str:
        return f"<Samples: {len(self)} of {sorted({sample.run for sample in self})}>"

    def _repr_html_(self) -> str:
        groups = groupby(self, key=lambda sample: sample.temperature)
        return "".join(f"<div>{''.join(map(_to_html, group))}</div>" for _, group in groups)


class Stream(Iterator[str]):
    """Pieces of text as they come, with what they started from.

    Args:
        pieces: The text, usually a character at a time.
        start: Seed, temperature and prompt of the text; its own text is empty.
    """

    def __init__(self, pieces: Iterator[str], start: Sample) -> None:
        self._pieces = pieces
        self.start = start

    def __next__(self) -> str:
        return next(self._pieces)


def sample(
    run: TrainedRun,
    *,
    temperatures: Iterable[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    count: int = 1,
    seed: int | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: str | None = None,
    unknown: UnknownPolicy = "error",
) -> Samples:
    """Write with a trained run, all temperatures and repeats in one batch.

    Args:
        run: What `lstmega.train` and `lstmega.load` return.
        temperatures: Each at least 0; 0 takes the most probable character.
        length: Tokens to write (characters, or bytes where the run's tokens are bytes).
        prompt: What the text goes on from. Empty: a newline where the run knows one, else its first
            character. None: a random excerpt of the held-out text (where there is none, as empty).
        count: Texts per temperature.
        seed: From 0 to 2**63 - 1. None: a fresh one, which each `Sample` reports.
        top_k, top_p, min_p: See `Filters`.
        stop: A text ends before the first place where it would say this.
        unknown: What becomes of prompt characters that the run has never seen.

    Returns:
        One sample per text; temperatures in the order given, repeats of each together. A text
        depends on (seed, temperature, its number among the repeats) alone: see `columns`.

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters under `unknown="error"`.
        RunError: The run has no usable weights.
    """
    count = _whole("--count", count, 1, _MOST_COUNT)
    rows = [temperature for temperature in _temperatures(temperatures) for _ in range(count)]
    length = _whole("--length", length, 0, sys.maxsize)
    filters, stop = Filters(top_k, top_p, min_p), _stop(stop)
    ids, start = _start(run, prompt, seed, unknown)
    writers = [_Writer(run.vocabulary, stop) for _ in rows]
    texts: list[list[str]] = [[] for _ in rows]
    for column in islice(_columns(run, ids, rows, start.seed, filters), length):
        for text, writer, identity in zip(texts, writers, column.tolist(), strict=True):
            text.append(writer.write(identity))
        if all(writer.done for writer in writers):
            break
    return Samples(
        replace(start, temperature=temperature, text="".join(text) + writer.finish())
        for temperature, text, writer in zip(rows, texts, writers, strict=True)
    )


def stream(
    run: TrainedRun,
    *,
    temperature: float = 0.8,
    length: int | None = 1000,
    prompt: str | None = None,
    seed: int | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: str | None = None,
    unknown: UnknownPolicy = "error",
) -> Stream:
    """Write one text piece by piece; together the pieces are what `sample` writes.

    Arguments are checked at once, the prompt is read at the first piece.

    Args:
        run: What `lstmega.train` and `lstmega.load` return.
        temperature: At least 0.
        length: Tokens to write; None never ends.
        prompt, seed, top_k, top_p, min_p, stop, unknown: As in `sample`.

    Returns:
        An iterator of pieces of text, usually one character each; where a piece may be the
        beginning of `stop`, it waits. `.start` has the seed and the prompt that were used.

    Raises:
        UsageError, PromptError, RunError: As in `sample`.
    """
    (temperature,) = _temperatures([temperature])
    length = None if length is None else _whole("--length", length, 0, sys.maxsize)
    filters, stop = Filters(top_k, top_p, min_p), _stop(stop)
    ids, start = _start(run, prompt, seed, unknown)
    columns_ = _columns(run, ids, [temperature], start.seed, filters)
    pieces = _pieces(islice(columns_, length), _Writer(run.vocabulary, stop))
    return Stream(pieces, replace(start, temperature=temperature))


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
    """Ids of one row -> its text; done at the stop text, whose beginnings are held back."""

    def __init__(self, vocabulary: Vocabulary, stop: str | None) -> None:
        self._decode = vocabulary.incremental_decoder()
        self._stop = stop
        self._held = ""
        self.done = False

    def write(self, identity: int) -> str:
        """Return the text that is certain now, possibly none."""
        return "" if self.done else self._release(self._decode(identity))

    def finish(self) -> str:
        """Return the rest of a row that has come to its length."""
        return "" if self.done else self._release(self._decode.finish()) + self._held

    def _release(self, text: str) -> str:
        if self._stop is None:
            return text
        text, self._held, self.done = _cut(self._held + text, self._stop)
        return text


def _cut(text: str, stop: str) -> tuple[str, str, bool]:
    """Return what may be shown, what may be the beginning of `stop`, and whether it was there."""
    if (found := text.find(stop)) >= 0:
        return text[:found], "", True
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return text[:-size], text[-size:], False
    return text, "", False


def _pieces(columns: Iterator[npt.NDArray[np.intp]], writer: _Writer) -> Iterator[str]:
    for column in columns:
        if piece := writer.write(int(column[0])):
            yield piece
        if writer.done:
            return
    if piece := writer.finish():
        yield piece


def _start(
    run: TrainedRun, prompt: str | None, seed: int | None, unknown: UnknownPolicy
) -> tuple[Ids, Sample]:
    """Return the ids to read first, and what a reader is told of them."""
    seed = secrets.randbits(32) if seed is None else _whole("--seed", seed, 0, _MOST_SEED)
    if unknown not in get_args(UnknownPolicy):
        raise _bad("--unknown", f"one of: {', '.join(get_args(UnknownPolicy))}", unknown)
    if prompt is not None and not isinstance(prompt, str):
        raise _bad("--prompt", "text", prompt)
    vocabulary, shown = run.vocabulary, prompt or ""
    is_excerpt = prompt is None and bool(run.held_out)
    if is_excerpt:
        ids = vocabulary.encode(excerpt(run.held_out, seed))
        decode = vocabulary.incremental_decoder()
        shown = "".join(map(decode, ids.tolist())) + decode.finish()
    else:
        ids = vocabulary.encode_prompt(shown, unknown=unknown)
    if len(ids) == 0:  # or every character was dropped by --unknown
        ids = vocabulary.encode("\n" if "\n" in vocabulary else vocabulary.characters[0])
    return ids, Sample(run.name, 0.0, seed, shown, "", is_excerpt)


def _columns(
    run: TrainedRun, ids: Ids, temperatures: Sequence[float], seed: int, filters: Filters
) -> Iterator[npt.NDArray[np.intp]]:
    unknown = run.vocabulary.unknown_id
    return columns(
        run.decoder(),
        ids,
        temperatures=temperatures,
        seed=seed,
        filters=filters,
        forbidden=() if unknown is None else (unknown,),
    )


# Checks.


def _temperatures(values: Iterable[float]) -> list[float]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise _bad("temperatures", "a list of numbers of at least 0", values)
    found = list(values)
    if not 0 < len(found) <= _MOST_TEMPERATURES:
        raise _bad("--temps", f"from 1 to {_MOST_TEMPERATURES} numbers", f"{len(found)} numbers")
    for value in found:
        if _real("--temps", value) < 0:
            raise _bad("--temps", "at least 0", value)
    return [float(value) for value in found]


def _stop(stop: str | None) -> str | None:
    if stop is not None and (not isinstance(stop, str) or not stop):
        raise _bad("--stop", "text of at least one character", stop)
    return stop


def _whole(flag: str, value: object, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise _bad(flag, "a whole number", value)
    if not low <= (number := int(value)) <= high:
        bounds = f"at least {low}" if high == sys.maxsize else f"from {low} to {high}"
        raise _bad(flag, bounds, value)
    return number


def _real(flag: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise _bad(flag, "a finite number", value)
    return float(value)


def _bad(flag: str, accepted: str, received: object) -> UsageError:
    return UsageError(f"{flag} cannot be used. Received: {received!r:.200}. Accepted: {accepted}.")


# Display.


def _heading(sample: Sample) -> str:
    source = ", prompt from the held-out text" if sample.prompt_is_excerpt else ""
    return f"{sample.run}: temperature {sample.temperature:g}, seed {sample.seed}{source}"


def _printable(text: str) -> str:
    """Return a text that can change neither a terminal's state nor the direction of its lines."""
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _to_html(sample: Sample) -> str:
    heading, prompt, text = (
        html.escape(_printable(part)) for part in (_heading(sample), sample.prompt, sample.text)
    )
    return (
        f"<p><b>{heading}</b></p>"
        f'<pre style="white-space: pre-wrap"><span style="color: #888">{prompt}</span>{text}</pre>'
    )
