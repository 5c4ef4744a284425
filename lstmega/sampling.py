"""Write text with a trained run: the prompt once, one row for each text, a column at a time.

`samplers.columns` chooses ids; here they become text, for a whole call (`sample`) or as they come
(`stream`).
"""

import html
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import Any, Protocol, get_args, overload

import numpy as np
import numpy.typing as npt

from lstmega.checks import refusal, whole
from lstmega.decoder import Decoder, Ids
from lstmega.display import plain
from lstmega.samplers import Filters, check_temperatures, columns
from lstmega.vocabulary import UnknownPolicy, Vocabulary

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

    def decoder(self) -> Decoder:
        """Return the trained weights as a decoder."""
        ...


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

    @property
    def heading(self) -> str:
        """One line that says where the text is from."""
        source = ", prompt from the held-out text" if self.prompt_is_excerpt else ""
        return f"{self.run}: temperature {self.temperature:g}, seed {self.seed}{source}"

    def __str__(self) -> str:
        return f"{self.heading}\n{plain(self.prompt + self.text)}"


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
        return str(self)

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
    count = whole("--count", count, 1, _MOST_TEXTS)
    rows = [temperature for temperature in check_temperatures(temperatures) for _ in range(count)]
    if len(rows) > _MOST_TEXTS:
        raise refusal(
            "--temps x --count", f"at most {_MOST_TEXTS:,} texts at once", f"{len(rows):,} texts"
        )
    length = whole("--length", length, 0, sys.maxsize)
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
    (temperature,) = check_temperatures([temperature])
    length = None if length is None else whole("--length", length, 0, sys.maxsize)
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
    seed = secrets.randbits(32) if seed is None else whole("--seed", seed, 0, _MOST_SEED)
    if unknown not in get_args(UnknownPolicy):
        raise refusal("--unknown", f"one of: {', '.join(get_args(UnknownPolicy))}", unknown)
    if prompt is not None and not isinstance(prompt, str):
        raise refusal("--prompt", "text", prompt)
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


def _stop(stop: str | None) -> str | None:
    if stop is not None and (not isinstance(stop, str) or not stop):
        raise refusal("--stop", "text of at least one character", stop)
    return stop


def _to_html(sample: Sample) -> str:
    heading, prompt, text = (
        html.escape(plain(part)) for part in (sample.heading, sample.prompt, sample.text)
    )
    return (
        f"<p><b>{heading}</b></p>"
        f'<pre style="white-space: pre-wrap"><span style="color: #888">{prompt}</span>{text}</pre>'
    )
