"""Search for units of a run that follow a feature of a text.

Units are chosen on the first half of the text and scored on the second, so that the best of thousands
is not the luckiest. Only sums of activations are kept, so memory does not grow with the text.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lstmega.config import base as checks
from lstmega.data.corpus import Corpus
from lstmega.display import formatting as display
from lstmega.display.result import Result
from lstmega.errors import UsageError
from lstmega.evaluation import features, scoring
from lstmega.evaluation.activations import Part, Unit, activations, part_of
from lstmega.evaluation.features import Feature, Values
from lstmega.evaluation.scoring import Passage, ReadProgress, UnknownInText
from lstmega.runs.run import GeneratorRun

SEARCHED = 100_000  # characters that are read, by default
_STILL = 1e-5  # standard deviation: a unit that moves less is constant


@dataclass(frozen=True)
class Finding:
    """The correlation of one unit with a feature.

    Args:
        unit: The unit.
        score: Pearson's correlation with the feature on the second half of the text, from -1 to 1;
            for a feature of zeros and ones, the point-biserial correlation.
        chosen: The same on the first half, by which the unit was chosen.
    """

    unit: Unit
    score: float
    chosen: float


@dataclass(frozen=True)
class ProbeResult(Result):
    """The units that follow a feature best.

    Args:
        run: The run's name.
        source: The text's name.
        feature: The name of the feature.
        part: `memory` is tanh(c) of an LSTM, `hidden` a layer's output.
        characters: Number of characters that were read, both halves.
        mean: Mean of the feature; its share of the text where it is zeros and ones.
        chance: The largest absolute correlation of the same search where there is nothing to find: as
            many units, chosen for the feature shifted by half of each half.
        found: The units with the largest correlations on the first half, largest first.
        unknown: Number of skipped characters, which the run does not know.
    """

    run: str
    source: str
    feature: str
    part: Part
    characters: int
    mean: float
    chance: float
    found: tuple[Finding, ...]
    unknown: int = 0

    @property
    def best(self) -> Unit:
        """The unit that was chosen first."""
        return self.found[0].unit

    @property
    def heading(self) -> str:
        return f"{self.run}: units ({self.part}) that follow {self.feature} in {self.source}"

    def rows(self) -> list[dict[str, Any]]:
        """Return a dictionary for each finding."""
        return [{"unit": str(one.unit), "score": one.score, "chosen": one.chosen} for one in self.found]

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON."""
        return {
            "run": self.run,
            "source": self.source,
            "feature": self.feature,
            "part": self.part,
            "characters": self.characters,
            "unknown_characters": self.unknown,
            "mean": self.mean,
            "chance": self.chance,
            "found": self.rows(),
        }

    def table(self) -> list[list[str]]:
        """Return the findings, best first, under a head."""
        head = ["unit", "correlation", "where chosen"]
        rows = [[str(one.unit), f"{one.score:+z.3f}", f"{one.chosen:+z.3f}"] for one in self.found]
        return [head, *rows]

    @property
    def remark(self) -> str:
        return (
            f"The feature is {self.mean:.3g} on average. Chance level: {self.chance:.3f} (the same "
            "search with the feature shifted); correlations below it are no evidence."
        )


def find(
    run: GeneratorRun,
    feature: str | Feature,
    text: Corpus | None = None,
    *,
    part: Part | None = None,
    most: int = 10,
    characters: int | None = SEARCHED,
    unknown: UnknownInText = "error",
    progress: ReadProgress | None = None,
) -> ProbeResult:
    """Search all units for those that follow a feature of a text; arguments as for `lstmega.find`.

    Raises:
        UsageError: A half of the text is without the feature, the feature or the part does not
            exist, or as for `scoring.choose`.
    """
    checks.check_int("--most", most, 1, 1000)
    options, part = run.record.model, part_of(run.record.model, part)
    passage = scoring.choose(run, text, characters=characters, unknown=unknown)
    values = features.of(feature, passage.text, tokens=passage.tokens)
    halves = _halves(passage, values, features.name_of(feature))
    chosen, scores = _correlations(run, passage, halves, part, progress)  # [units of all layers, 2]
    order, moved = np.argsort(-np.abs(chosen), axis=0, kind="stable")[:most].T
    return ProbeResult(
        run=run.name,
        source=passage.source,
        feature=features.name_of(feature),
        part=part,
        characters=len(passage.text),
        mean=float(values.mean()),
        chance=float(np.abs(scores[moved, 1]).max()),
        found=tuple(
            Finding(
                Unit(at // options.units + 1, at % options.units + 1),
                score=float(scores[at, 0]),
                chosen=float(chosen[at, 0]),
            )
            for at in order.tolist()
        ),
        unknown=passage.unknown,
    )


def _halves(passage: Passage, feature: Values, name: str) -> list[Values]:
    """Return for each half the feature and the feature shifted, standardised, zero outside: `[n, 2]`."""
    middle, halves = len(feature) // 2, []
    for half, which in ((slice(0, middle), "first"), (slice(middle, None), "second")):
        part = feature[half]
        if part.min() == part.max():
            raise UsageError(
                f"The feature {name} is constant in the {which} half of {passage.source}. "
                f"Received: {len(part):,} {display.unit(passage.tokens)}, {name} {part[:1].sum():g} at "
                "all of them. Accepted: a text in which it varies in both halves: more of this one "
                "(--characters), or another (--text)."
            )
        standard = (part - part.mean()) / part.std()
        values = np.zeros((len(feature), 2))
        values[half] = np.stack([standard, np.roll(standard, len(part) // 2)], axis=1)
        halves.append(values)
    return halves


def _correlations(
    run: GeneratorRun, passage: Passage, halves: list[Values], part: Part, progress: ReadProgress | None
) -> list[npt.NDArray[np.float64]]:
    """Return Pearson's correlations of all units on each half with its two features, `[units, 2]`."""
    count, middle = len(passage.text), len(passage.text) // 2
    units = run.record.model.layers * run.record.model.units
    sums = np.zeros((2, units, 4))  # of a, of a squared, of a times each feature
    for step in scoring.walk(scoring.read_states(run), run.vocabulary.encode(passage.text), progress):
        values = activations(step.states, part)[:, step.counted].astype(np.float64)  # [units, counted]
        for number, inside in enumerate((step.places < middle, step.places >= middle)):
            sums[number, :, 0] += values @ inside
            sums[number, :, 1] += values**2 @ inside
            sums[number, :, 2:] += values @ halves[number][step.places]
    sizes = np.array([middle, count - middle])[:, np.newaxis]  # [2, 1]
    variance = sums[:, :, 1] / sizes - (sums[:, :, 0] / sizes) ** 2  # [2, units]
    deviation = np.sqrt(variance.clip(min=_STILL**2))
    found = sums[:, :, 2:] / (sizes * deviation)[:, :, np.newaxis]  # [2, units, 2]
    found[variance < _STILL**2] = 0
    return list(found.clip(-1, 1))
