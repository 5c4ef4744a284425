"""The activations of one unit of a run over a text.

After Karpathy, Johnson and Fei-Fei 2015 (arXiv:1506.02078), who coloured texts by tanh(c) and found
units that follow quotes, brackets and the place in the line, and Radford, Jozefowicz and Sutskever 2017
(arXiv:1704.01444), whose unit followed sentiment.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from lstmega.config import base as checks
from lstmega.config.model import GeneratorConfig
from lstmega.data.corpus import Corpus
from lstmega.display import formatting as display
from lstmega.display import heatmap
from lstmega.display.heatmap import Heatmap, Palette
from lstmega.display.result import PageResult
from lstmega.evaluation import scoring
from lstmega.evaluation.scoring import INSPECTED, ReadProgress, UnknownInText
from lstmega.inference.decoder import Array, States
from lstmega.runs.run import GeneratorRun

Part = Literal["memory", "hidden"]

_UNIT = re.compile("([1-9][0-9]{0,8})[.]([1-9][0-9]{0,8})")
_LISTED = 5  # peaks
_APART = 20  # characters between two peaks
_STEPS = tuple(number / 10 for number in range(-9, 10, 2))
# Even steps in OKLab (Ottosson 2020) from the ground to blue and to red.
_LIGHT = (
    "#3492ff", "#66a9fe", "#8fc0ff", "#b5d5ff", "#dbeafe", "#ffffff",
    "#ffe0dd", "#fec1bb", "#fd9f97", "#f87d75", "#f05653",
)  # fmt: skip
_DARK = (
    "#0061be", "#0050a0", "#0c427d", "#153359", "#172536", "#161616",
    "#341d1b", "#53211e", "#732221", "#942023", "#b71824",
)  # fmt: skip
_PALETTE = Palette("lstmega-unit", "Activation", -1, _STEPS, _LIGHT, _DARK, ground=5)


@dataclass(frozen=True, order=True)
class Unit:
    """One unit, written `1.37`: layer and number, both from 1."""

    layer: int
    number: int

    @classmethod
    def parse(cls, text: "str | Unit") -> "Unit":
        """Return the unit that `1.37` means.

        Raises:
            UsageError: It is written otherwise.
        """
        if isinstance(text, Unit):
            return text
        found = _UNIT.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise checks.usage_error("--unit", "LAYER.UNIT, both from 1, as '1.37'", text)
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.layer}.{self.number}"


@dataclass(frozen=True)
class UnitActivations(PageResult):
    """The activations of one unit while a text was read.

    Args:
        run: The run's name.
        source: The text's name.
        unit: The unit.
        part: `memory` is tanh(c) of an LSTM, `hidden` the layer's output.
        text: The text that was read, without skipped characters.
        activation: After each character, from -1 to 1, `[characters]`.
        unknown: Number of skipped characters, which the run does not know.
    """

    run: str
    source: str
    unit: Unit
    part: Part
    text: str = field(repr=False)
    activation: Array = field(repr=False, compare=False)
    unknown: int = 0

    @property
    def heading(self) -> str:
        return f"{self.run}, unit {self.unit} ({self.part}): {self.source}"

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "run": self.run,
            "source": self.source,
            "unit": str(self.unit),
            "part": self.part,
            "unknown_characters": self.unknown,
            "text": self.text,
            "activation": self.activation.tolist(),
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return characters and activations."""
        pairs = zip(self.text, self.activation.tolist(), strict=True)
        return [{"character": one, "activation": value} for one, value in pairs]

    def _page(self, most: int | None = heatmap.MOST) -> Heatmap:
        """Return the text, blue where the unit is negative and red where it is positive."""
        shown = self.activation[:most]
        remarks = [f"{value:+z.2f}" for value in shown.tolist()]
        return Heatmap(_PALETTE, self.heading, self.text, _PALETTE.shades(shown), remarks)

    @property
    def remark(self) -> str:
        return (
            f"From {self.activation.min():+z.2f} to {self.activation.max():+z.2f}, "
            f"{self.activation.mean():+z.2f} on average."
        )

    def table(self) -> list[list[str]]:
        """Return the highest and the lowest activations with the text before them, under a head."""
        peaks = [["activation", "after"]]
        for order in (-self.activation, self.activation):
            peaks += [[f"{self.activation[at]:+z.2f}", self._before(at)] for at in _peaks(order)]
        return peaks

    def _before(self, at: int) -> str:
        return display.one_line(self.text[max(0, at - 59) : at + 1], 80)


def _peaks(order: Array) -> list[int]:
    """Return the positions of the lowest values, at least 20 characters apart."""
    chosen: list[int] = []
    for place in np.argsort(order, kind="stable").tolist():
        if len(chosen) == _LISTED:
            break
        if all(abs(place - other) >= _APART for other in chosen):
            chosen.append(place)
    return chosen


def unit(
    run: GeneratorRun,
    which: str | Unit,
    text: Corpus | None = None,
    *,
    part: Part | None = None,
    characters: int | None = INSPECTED,
    unknown: UnknownInText = "error",
    progress: ReadProgress | None = None,
) -> UnitActivations:
    """Read a text and keep the activations of one unit; arguments as for `lstmega.unit`.

    Raises:
        UsageError: The unit or the part does not exist, or as for `scoring.choose`.
    """
    options, chosen = run.record.model, Unit.parse(which)
    if chosen.layer > options.layers or chosen.number > options.units:
        bounds = f"from 1.1 to {options.layers}.{options.units} in {run.name}"
        raise checks.usage_error("--unit", bounds, str(chosen))
    part = part_of(options, part)
    passage = scoring.choose(run, text, characters=characters, unknown=unknown)
    activation = np.empty(len(passage.text), np.float32)
    for step in scoring.walk(scoring.read_states(run), run.vocabulary.encode(passage.text), progress):
        layer = step.states[chosen.layer - 1 : chosen.layer]
        activation[step.places] = activations(layer, part)[chosen.number - 1, step.counted]
    return UnitActivations(
        run=run.name,
        source=passage.source,
        unit=chosen,
        part=part,
        text=passage.text,
        activation=activation,
        unknown=passage.unknown,
    )


def part_of(options: GeneratorConfig, part: Part | None) -> Part:
    """Return the part of the state to read; None takes the memory where there is one.

    Raises:
        UsageError: The cell does not have this part.
    """
    parts: tuple[Part, ...] = get_args(Part) if options.cell == "lstm" else ("hidden",)
    if part is not None and part not in parts:
        raise checks.usage_error("--part", f"one of: {', '.join(parts)} ({options.cell})", part)
    return part or parts[0]


def activations(states: States, part: Part) -> Array:
    """Return the activations of all units, lowest layer first, `[layers * units, rows]`."""
    if part == "hidden":
        return np.concatenate([state[0] for state in states])
    squashed: Array = np.tanh(np.concatenate([state[1] for state in states]))
    return squashed
