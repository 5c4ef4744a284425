"""Look inside a run: the prediction for each character of a text, and its entropy."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstmega.config import base as checks
from lstmega.data.corpus import Corpus
from lstmega.display import formatting as display
from lstmega.display.heatmap import Heatmap, surprisal
from lstmega.display.result import PageResult
from lstmega.evaluation import scoring
from lstmega.evaluation.scoring import INSPECTED, Costs, ReadProgress, UnknownInText
from lstmega.inference.decoder import Reader, log_softmax
from lstmega.runs.run import GeneratorRun

_ROWS = 40  # characters that a terminal shows
_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥"}


@dataclass(frozen=True)
class Inspection(PageResult):
    """A run's predictions for each character of a text but the first.

    Args:
        run: The run's name.
        source: The text's name.
        text: The text that was read, without skipped characters.
        nats: The cost of each character but the first, `[characters - 1]`.
        entropy: Of the prediction before each of them, in nats, `[characters - 1]`.
        likeliest: The `top` most probable characters in its place, most probable first, as a string;
            `<unk>` is U+FFFD; `[characters - 1]`.
        probabilities: Their probabilities, `[characters - 1, top]`.
        unknown: Number of skipped characters, which the run does not know.
        tokens: `char` or `byte`.
    """

    run: str
    source: str
    text: str = field(repr=False)
    nats: Costs = field(repr=False, compare=False)
    entropy: Costs = field(repr=False, compare=False)
    likeliest: tuple[str, ...] = field(repr=False)
    probabilities: npt.NDArray[np.float64] = field(repr=False, compare=False)
    unknown: int = 0
    tokens: Literal["char", "byte"] = "char"

    @property
    def bits_per_character(self) -> float:
        """Mean cost in bits."""
        return display.bits(float(self.nats.mean()))

    @property
    def heading(self) -> str:
        return (
            f"{self.run}: {self.source}, {display.loss(float(self.nats.mean()), self.tokens)}, "
            f"entropy of the predictions {display.bits(float(self.entropy.mean())):.3f} bits"
        )

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield a dictionary for each character but the first; costs and entropies in nats."""
        values = zip(self.text[1:], self.nats.tolist(), self.entropy.tolist(), strict=True)
        top = zip(self.likeliest, self.probabilities.tolist(), strict=True)
        for (character, nats, entropy), (others, shares) in zip(values, top, strict=True):
            likeliest = [list(pair) for pair in zip(others, shares, strict=True)]
            yield {"character": character, "nats": nats, "entropy": entropy, "likeliest": likeliest}

    def to_dict(self) -> dict[str, Any]:
        """Return everything for JSON: a summary, and one object for each character but the first."""
        return {
            "run": self.run,
            "source": self.source,
            "tokens": self.tokens,
            "unknown_characters": self.unknown,
            "bits_per_character": self.bits_per_character,
            "text": self.text,
            "predictions": list(self.rows()),
        }

    def _page(self, most: int | None = None) -> Heatmap:
        """Return the text coloured by bits, with the most probable characters in tooltips."""
        text = self.text[:most]
        nats, entropies = self.nats[: len(text) - 1], self.entropy[: len(text) - 1].tolist()
        remarks = [
            f"entropy {display.bits(entropy):.2f} bits; {self._expected(number)}"
            for number, entropy in enumerate(entropies)
        ]
        return surprisal(text, nats, title=self.heading, remarks=remarks)

    def _expected(self, number: int) -> str:
        pairs = zip(self.likeliest[number], self.probabilities[number].tolist(), strict=True)
        return ", ".join(f"{sign(character)} {share:.0%}" for character, share in pairs)

    def table(self) -> list[list[str]]:
        """Return the first characters with their costs and predictions, under a head."""
        lines = [["character", "bits", "entropy", "likeliest"]]
        for number, (character, nats) in enumerate(zip(self.text[1:], self.nats[:_ROWS].tolist())):  # noqa: B905
            bits, entropy = display.bits(nats), display.bits(float(self.entropy[number]))
            lines.append([sign(character), f"{bits:z.2f}", f"{entropy:z.2f}", self._expected(number)])
        return lines

    @property
    def remark(self) -> str:
        rest = len(self.nats) - _ROWS
        return f"... and {rest:,} more: --html and --json have them all." if rest > 0 else ""


def inspect(
    run: GeneratorRun,
    text: Corpus | None = None,
    *,
    characters: int | None = INSPECTED,
    top: int = 5,
    unknown: UnknownInText = "error",
    progress: ReadProgress | None = None,
) -> Inspection:
    """Read a text and keep the predictions; `top` as for `lstmega.inspect`, the rest as for `choose`.

    Raises:
        UsageError: `top` is out of bounds, or as for `scoring.choose`.
    """
    checks.check_int("--top", top, 1, 100)
    passage = scoring.choose(run, text, characters=characters, unknown=unknown)
    ids, decoder = run.vocabulary.encode(passage.text), run.decoder()
    nats, entropy, best, shares = _predictions(decoder, ids, min(top, len(run.vocabulary)), progress)
    likeliest = tuple(run.vocabulary.decode(row) for row in best)
    return Inspection(
        run=run.name,
        source=passage.source,
        text=passage.text,
        nats=nats,
        entropy=entropy,
        likeliest=likeliest,
        probabilities=shares,
        unknown=passage.unknown,
        tokens=passage.tokens,
    )


def _predictions(
    decoder: Reader, ids: npt.NDArray[np.integer], top: int, progress: ReadProgress | None
) -> tuple[Costs, Costs, npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Return costs and entropies `[n - 1]`, most probable ids and their probabilities `[n - 1, top]`."""
    count = len(ids) - 1
    nats, entropy = np.empty(count), np.empty(count)
    best, shares = np.empty((count, top), np.intp), np.empty((count, top))
    for step in scoring.walk(decoder, ids[:-1], progress):
        logs = log_softmax(step.logits[step.counted])  # [counted, vocabulary]
        probabilities, places = np.exp(logs), step.places
        nats[places] = -logs[np.arange(len(places)), ids[places + 1]]
        entropy[places] = -(probabilities * logs).sum(axis=1)
        best[places] = np.argsort(-logs, axis=1, kind="stable")[:, :top]
        shares[places] = np.take_along_axis(probabilities, best[places], axis=1)
    return nats, entropy, best, shares


def sign(character: str) -> str:
    """Return a character for a table: blanks as signs, control characters shown."""
    return _SIGNS.get(character) or display.plain(character)
