"""A sweep: one prompt at many temperatures, each measured against the training text.

The held-out text, cut to the same length, is measured too: the values of the author's own writing.
"""

import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, overload

import numpy as np

from lstmega.config.base import check_int
from lstmega.config.generation import GenerationConfig
from lstmega.data.suffix_array import Copy, TextIndex, cover
from lstmega.data.vocabulary import UnknownPolicy
from lstmega.display import chart as charts
from lstmega.display import formatting as display
from lstmega.display.chart import Chart, Series
from lstmega.display.gallery import Gallery, Piece, Shelf, Source
from lstmega.display.result import PageResult
from lstmega.errors import UsageError
from lstmega.evaluation.text_statistics import NOVEL, Analysis, Reference, together
from lstmega.inference.generate import sample
from lstmega.inference.outputs import Samples
from lstmega.runs.run import GeneratorRun

TEMPERATURES = tuple(number / 10 for number in range(2, 15))
_SHARES = (0.98, 0.95, 0.9, 0.8, 0.7, 0.5)  # of known words, that a recommendation may promise
_TOKEN = {"char": "character", "byte": "byte"}
_SHOWN = (8, 16)  # characters of the n-grams whose novelty the table and the page show


@dataclass(frozen=True)
class Level:
    """One temperature.

    Args:
        temperature: The divisor of the logits.
        nats_per_character: The model's own cost of the texts, without temperature and constraints.
        analysis: The measures of the texts, together.
        samples: The texts.
    """

    temperature: float
    nats_per_character: float
    analysis: Analysis
    samples: Samples = field(repr=False)

    @property
    def bits_per_character(self) -> float:
        """The model's own cost in bits."""
        return display.bits(self.nats_per_character)

    def to_dict(self) -> dict[str, Any]:
        """Return one object of `sweep --json`."""
        return {
            "temperature": self.temperature,
            "bits_per_character": self.bits_per_character,
            **self.analysis.to_dict(),
            "samples": [sample.origin() for sample in self.samples],
        }


@dataclass(frozen=True)
class Sweep(PageResult, Sequence[Level]):
    """The levels of one sweep, lowest temperature first, beside the held-out text.

    Args:
        run: The run's name.
        levels: One for each temperature.
        held_out: The measures of the held-out text, cut to as many characters; None without one.
        held_out_nats: The model's cost of the held-out text per token.
        reference: The training text.
        tokens: `char` or `byte`: the unit of `nats_per_character`.
    """

    run: str
    levels: tuple[Level, ...]
    held_out: Analysis | None
    held_out_nats: float | None
    reference: Reference = field(repr=False, compare=False)
    tokens: Literal["char", "byte"] = "char"

    @overload
    def __getitem__(self, index: int) -> Level: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Level, ...]: ...
    def __getitem__(self, index: int | slice) -> Level | tuple[Level, ...]:
        return self.levels[index]

    def __len__(self) -> int:
        return len(self.levels)

    @property
    def recommended(self) -> tuple[Level, ...]:
        """The recommended temperatures.

        Of those without loops that repeat themselves at most twice as much as the held-out text (or 2%),
        the ones that keep the largest of these shares of known words: 98, 95, 90, 80, 70, 50%.
        """
        limit = 0.02 if self.held_out is None else max(0.02, 2 * self.held_out.repeated.share)
        calm = [
            level
            for level in self.levels
            if not level.analysis.loops and not level.analysis.repeated.share > limit
        ]
        for share in _SHARES:
            if found := [level for level in calm if level.analysis.known_words.share >= share]:
                return tuple(found)
        return ()

    @property
    def recommendation(self) -> str:
        """The recommended temperatures in a sentence."""
        levels = self.recommended
        if not levels:
            return (
                "None of these temperatures keeps half of the words known without loops: train longer, "
                "or generate more at each."
            )
        temperatures = [level.temperature for level in levels]
        least = min(level.analysis.known_words.share for level in levels)
        longest = max(level.analysis.longest for level in levels)
        keep, copy = ("keeps", "copies") if len(levels) == 1 else ("keep", "copy")
        return (
            f"{_range(temperatures, [level.temperature for level in self.levels])} {keep} "
            f"{math.floor(least * 100)}% of the words known and {copy} nothing longer than "
            f"{max(longest, 29)} characters."
        )

    @property
    def heading(self) -> str:
        samples = self.levels[0].samples
        total = sum(level.analysis.characters for level in self.levels)
        return (
            f"{self.run}: {len(self.levels)} temperatures, {display.count(len(samples), 'text')} each, "
            f"{total:,} characters, seed {samples[0].seed}"
        )

    def to_dicts(self) -> list[dict[str, Any]]:
        """Return the JSON list of `sweep --json`: one object for each temperature."""
        return [level.to_dict() for level in self.levels]

    def rows(self) -> list[dict[str, Any]]:
        """Return the measures of each temperature."""
        return [_flat(level.to_dict()) for level in self.levels]

    def plot(self) -> Any:
        """Return the charts of the page as a matplotlib figure.

        Raises:
            UsageError: matplotlib is not installed.
        """
        return charts.figure(self.charts(), 11, 6, columns=3)

    def table(self) -> list[list[str]]:
        """Return a row for each temperature and for the held-out text, under a head."""
        head = ["temperature", f"bits/{self.tokens}", "known words", "distinct 3-grams", "repeated"]
        head += ["loops", *(f"new {n}-grams" for n in _SHOWN), "copied", "longest copy"]
        rows = [(f"{one.temperature:g}", one.bits_per_character, one.analysis) for one in self.levels]
        if self.held_out is not None and self.held_out_nats is not None:
            rows.append(("held-out text", display.bits(self.held_out_nats), self.held_out))
        return [head, *([name, f"{bits:.3f}", *_cells(measured)] for name, bits, measured in rows)]

    def charts(self) -> tuple[Chart, ...]:
        """Return a chart of each measure over the temperatures."""
        measures: dict[str, Callable[[Analysis], float]] = {
            "Known words, %": lambda item: 100 * item.known_words.share,
            "New 8-grams, %": lambda item: 100 * item.novel[NOVEL.index(8)].share,
            "New 16-grams, %": lambda item: 100 * item.novel[NOVEL.index(16)].share,
            "Repeated within a text, %": lambda item: 100 * item.repeated.share,
            "Copied in passages of 30 or more, %": lambda item: 100 * item.copied.share,
        }
        own = [level.bits_per_character for level in self.levels]
        held_out = math.nan if self.held_out_nats is None else display.bits(self.held_out_nats)
        drawn = [self._chart(f"The model's own bits per {_TOKEN[self.tokens]}", own, held_out)]
        for title, measure in measures.items():
            values = [measure(level.analysis) for level in self.levels]
            held_out = math.nan if self.held_out is None else measure(self.held_out)
            drawn.append(self._chart(title, values, held_out))
        return tuple(drawn)

    def _chart(self, title: str, values: Sequence[float], held_out: float) -> Chart:
        temperatures = [level.temperature for level in self.levels]
        pairs = zip(temperatures, values, strict=True)
        points = [(temperature, value) for temperature, value in pairs if math.isfinite(value)]
        ends = "From {1:.3g} at temperature {0:g} to {3:.3g} at {2:g}."
        return Chart(
            title,
            x_label="temperature",
            y_label="",
            series=(Series("", points, dots=True),),
            levels=(("held-out text", held_out),) if math.isfinite(held_out) else (),
            x_range=(temperatures[0], temperatures[-1]),
            description=ends.format(*points[0], *points[-1]) if points else "",
        )

    def _page(self, most: int | None = None) -> Gallery:
        """Return charts, table, and all texts with links to copied passages."""
        places: dict[tuple[int, int], int] = {}  # (place, length) -> number of the source
        shelves = tuple(Shelf(self._name(level), tuple(_pieces(level, places))) for level in self.levels)
        sources = tuple(self._source(*found) for found in places)
        prompt = self.levels[0].samples[0].prompt
        return Gallery(
            self.heading, self.recommendation, prompt, self.charts(), self.table(), shelves, sources
        )

    def _name(self, level: Level) -> str:
        marked = ", recommended" if level in self.recommended else ""
        return f"Temperature {level.temperature:g}{marked}"

    def _source(self, place: int, length: int) -> Source:
        before, passage, after, line = self.reference.context(Copy(0, length, place))
        return Source(f"line {line:,}, character {place + 1:,}", before, passage, after)

    @property
    def remark(self) -> str:
        return self.recommendation


def sweep(
    run: GeneratorRun,
    training: str,
    *,
    temperatures: Iterable[float] = TEMPERATURES,
    length: int = 2000,
    num_samples: int = 4,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    config: GenerationConfig | None = None,
) -> Sweep:
    """Generate at many temperatures in one batch, and measure each; arguments as for `generate.sample`.

    Raises:
        UsageError: An argument is out of bounds, or `config.vary` is given.
    """
    config = config or GenerationConfig()
    if config.vary is not None:
        raise UsageError(f"A sweep compares constant temperatures. Received: --vary {config.vary}.")
    length = check_int("--length", length, 1, sys.maxsize)
    reference = Reference(_readable(run, training))
    written = sample(
        run,
        temperatures=sorted(set(temperatures)),
        length=length,
        prompt=prompt,
        num_samples=num_samples,
        seed=seed,
        unknown=unknown,
        config=config,
        training=_index(run, training, reference) if config.no_copy else None,
        scored=True,
    )
    grouped = groupby(written, key=lambda item: item.temperature)
    levels = tuple(_level(temperature, Samples(texts), reference) for temperature, texts in grouped)
    return Sweep(
        run=run.name,
        levels=levels,
        held_out=_of_held_out(run, reference, length, num_samples),
        held_out_nats=run.record.nats if run.held_out else None,
        reference=reference,
        tokens=run.record.text.tokens,
    )


def _index(run: GeneratorRun, training: str, reference: Reference) -> TextIndex:
    return TextIndex(training) if run.record.text.tokens == "byte" else reference.index


def _readable(run: GeneratorRun, text: str) -> str:
    """Return a text of a run for people: byte tokens are decoded as UTF-8."""
    if run.record.text.tokens == "char":
        return text
    return text.encode("latin-1").decode(errors="replace")


def _level(temperature: float, samples: Samples, reference: Reference) -> Level:
    nats = np.concatenate([item.nats for item in samples if item.nats is not None])
    return Level(
        temperature,
        float(nats.mean()) if len(nats) else math.nan,
        together([reference.analyse(item.text) for item in samples]),
        samples,
    )


def _of_held_out(run: GeneratorRun, reference: Reference, length: int, count: int) -> Analysis | None:
    text = _readable(run, run.held_out)
    if not text or length < 1:
        return None
    starts = range(0, max(1, len(text) - length + 1), length)[:count]
    return together([reference.analyse(text[start : start + length]) for start in starts])


def _pieces(level: Level, places: dict[tuple[int, int], int]) -> Iterator[Piece]:
    for item, passages in zip(level.samples, level.analysis.passages, strict=True):
        copies = tuple(
            (copy.start, copy.end, places.setdefault((copy.place, copy.length), len(places) + 1))
            for copy in cover(passages)
        )
        whole = item.nats is not None and len(item.nats) == len(item.text)
        numbers = (item.nats, item.ngram_share) if whole else (None, None)
        yield Piece(item.text, *numbers, copies)


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a data frame: `novelty` of `8` as `novelty_8`, lists as their lengths."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            flat |= {f"{name}_{size}": share for size, share in value.items()}
        elif name != "samples":
            flat[name] = len(value) if isinstance(value, list) else value
    return flat


def _cells(item: Analysis) -> list[str]:
    return [
        _percent(item.known_words.share),
        _percent(item.distinct[2].share),
        _percent(item.repeated.share),
        f"{len(item.loops)} of {len(item.passages)}",
        *(_percent(item.novel[NOVEL.index(n)].share) for n in _SHOWN),
        _percent(item.copied.share),
        f"{item.longest}" if item.longest else "-",
    ]


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{share * 100:.1f}%"


def _range(chosen: Sequence[float], swept: Sequence[float]) -> str:
    """Return neighbours as `0.6-0.8`, others one by one."""
    at = [swept.index(temperature) for temperature in chosen]
    if len(chosen) > 2 and at == list(range(at[0], at[0] + len(at))):
        return f"{chosen[0]:g}-{chosen[-1]:g}"
    return ", ".join(f"{temperature:g}" for temperature in chosen)
