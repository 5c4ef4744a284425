"""How well a run predicts a text: its own held-out tail, or any other.

The first character is not predicted. A text that the run was not made for may have characters that it
does not know; they are charged or skipped by a declared rule.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import export as exports
from lstmega.display import formatting as display
from lstmega.display import html
from lstmega.display.heatmap import surprisal
from lstmega.errors import UsageError
from lstmega.evaluation import baselines as yardsticks
from lstmega.evaluation import scoring as scores
from lstmega.runs import record
from lstmega.runs.record import Yardstick
from lstmega.runs.run import Run

Protocol = Literal["stream", "window", "dynamic"]
UnknownRule = Literal["charge", "skip"]
Reader = Callable[[npt.NDArray[np.int32]], scores.Costs]  # ids `[n]` -> nats `[n - 1]`

_PREVIEW = 2000  # characters in a notebook


@dataclass(frozen=True)
class Evaluation:
    """What a text cost a run.

    Args:
        run: The run's name.
        source: What was read.
        protocol: How: `stream`, `window` or `dynamic`.
        text: What was read, skipped characters left out.
        nats: The cost of each character but the first, `[characters]`.
        unknown: How many characters the run does not know.
        rule: What was done with them.
        tokens: `char` or `byte`.
        window: Characters of a window, by that protocol.
        rate: The learning rate of dynamic evaluation.
        reading: What becomes of the state while the text is read.
        yardsticks: Simple models of the same text.
    """

    run: str
    source: str
    protocol: Protocol
    text: str = field(repr=False)
    nats: npt.NDArray[np.float64] = field(repr=False, compare=False)
    unknown: int = 0
    rule: UnknownRule = "charge"
    tokens: Literal["char", "byte"] = "char"
    window: int | None = None
    rate: float | None = None
    reading: str = "state carried through"
    yardsticks: tuple[Yardstick, ...] = ()

    @property
    def characters(self) -> int:
        """How many characters were predicted."""
        return len(self.nats)

    @property
    def nats_per_character(self) -> float:
        """Mean cost in nats."""
        return float(self.nats.mean())

    @property
    def bits_per_character(self) -> float:
        """Mean cost in bits."""
        return display.bits(self.nats_per_character)

    @property
    def perplexity(self) -> float:
        """Among how many equally likely characters the model would have to choose."""
        return math.exp(self.nats_per_character)

    @property
    def verdict(self) -> str:
        """Where the model stands among the yardsticks, in words."""
        if not self.yardsticks:
            return ""
        return record.baseline_summary(self.bits_per_character, self.yardsticks)

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers for JSON."""
        return {
            "run": self.run,
            "source": self.source,
            "protocol": self.protocol,
            "window": self.window,
            "rate": self.rate,
            "characters": self.characters,
            "nats_per_character": self.nats_per_character,
            "bits_per_character": self.bits_per_character,
            "perplexity": self.perplexity,
            "unknown_characters": self.unknown,
            "unknown_rule": self.rule,
            "yardsticks": [
                {"name": item.name, "bits_per_character": item.bits_per_character}
                for item in self.yardsticks
            ],
        }

    def to_dataframe(self) -> Any:
        """Return characters and their costs in nats as a pandas DataFrame, the first left out.

        Raises:
            UsageError: pandas is not installed.
        """
        pairs = zip(self.text[1:], self.nats.tolist(), strict=True)
        return exports.dataframe([{"character": one, "nats": nats} for one, nats in pairs])

    def to_html(self) -> str:
        """Return a page of the text, each character coloured by its bits."""
        return surprisal(self.text, self.nats, title=self.heading, note=self.verdict).page()

    def save_html(self, path: str | Path) -> Path:
        """Write `to_html` to a file and return its path."""
        return exports.save(path, self.to_html())

    @property
    def heading(self) -> str:
        """What was measured, in one line."""
        how = {
            "stream": self.reading,
            "window": f"windows of {self.window} from the zero state",
            "dynamic": f"{self.reading}, learning at rate {self.rate:g}" if self.rate else "",
        }[self.protocol]
        unit = display.unit(self.tokens)
        return f"{self.run}: {self.source}, {self.characters:,} {unit} predicted, {how}"

    def table(self) -> list[list[str]]:
        """Return the model among its yardsticks, best first, under a head."""
        return record.baseline_table(self.bits_per_character, self.yardsticks, self.tokens)

    def __str__(self) -> str:
        parts = [self.heading, display.columns(self.table())]
        if self.unknown:
            parts.append(self._remark())
        if self.verdict:
            parts.append(f"This model is {self.verdict}.")
        return "\n\n".join(parts)

    def _remark(self) -> str:
        done = "were left out" if self.rule == "skip" else "were charged as any unseen code point"
        return f"{self.unknown:,} characters that the run does not know {done}."

    def _repr_html_(self) -> str:
        text, nats = self.text[:_PREVIEW], self.nats[: _PREVIEW - 1]
        shown = surprisal(text, nats, title=self.heading).fragment()
        return html.table(self.table(), self.heading) + shown


def measure(
    run: Run,
    text: Corpus | None = None,
    *,
    protocol: Literal["stream", "window"] = "stream",
    window: int = 64,
    unknown: UnknownRule = "charge",
    done: scores.Done | None = None,
) -> Evaluation:
    """Measure a run's best weights.

    Args:
        run: A trained run.
        text: What to read; None is the run's held-out tail.
        protocol: `stream` carries the state through, `window` starts anew every `window` characters.
        window: Characters of a window.
        unknown: `charge` costs an unknown character what a uniform choice among all code points that the
            run does not know costs (and `<unk>`, where the run has it); `skip` leaves it out.
        done: Hears how far it is.

    Raises:
        UsageError: Nothing was held out, or the text has less than two characters.
    """
    decoder = run.decoder()
    if protocol == "window":
        return read_by(
            run,
            text,
            lambda ids: scores.windows(decoder, ids, length=window, done=done),
            unknown=unknown,
            protocol=protocol,
            window=window,
        )
    return read_by(
        run, text, lambda ids: scores.stream(decoder, ids, done=done), unknown=unknown, protocol=protocol
    )


def read_by(
    run: Run, text: Corpus | None, reader: Reader, *, unknown: UnknownRule, **how: Any
) -> Evaluation:
    """Measure a run by any reader of ids; arguments as for `measure`, `how` are `Evaluation`'s."""
    if unknown not in ("charge", "skip"):
        raise UsageError(f"--unknown must be charge or skip. Received: {unknown!r}.")
    content, source, rulers = _what(run, text)
    known = run.vocabulary.known(content)
    foreign = int((~known).sum())
    if unknown == "skip" and foreign:
        content = "".join(compress(content, known))
        known = known[known]
    if len(content) < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {len(content)}.")
    return Evaluation(
        run=run.name,
        source=source,
        text=content,
        nats=_costs(run.vocabulary, content, known, reader),
        unknown=foreign,
        rule=unknown,
        tokens=run.record.text.tokens,
        reading=run.record.reading,
        yardsticks=rulers,
        **how,
    )


def _what(run: Run, text: Corpus | None) -> tuple[str, str, tuple[Yardstick, ...]]:
    """Return what is read, what it is called, and the yardsticks beside it."""
    if text is not None:
        if text.tokens != run.record.text.tokens:
            raise UsageError(
                f"{run.name} was trained on {run.record.text.tokens} tokens. Received: a text of "
                f"{text.tokens} tokens. Read it with tokens={run.record.text.tokens!r}."
            )
        return text.text, text.name, tuple(yardsticks.measure("", text.text, tokens=text.tokens))
    if len(run.held_out) < 2:
        raise UsageError(
            f"{run.path} held no text out. Received: {len(run.held_out)} characters. "
            "Name a text to measure it on with --text."
        )
    return run.held_out, f"the held-out tail of {run.record.text.name}", run.record.yardsticks


def _costs(
    vocabulary: Vocabulary, text: str, known: npt.NDArray[np.bool_], reader: Reader
) -> npt.NDArray[np.float64]:
    """Return the cost of each character but the first, by the rule `charge`."""
    unseen = 256 if vocabulary.kind == "byte" else 0x110000
    charge = math.log(max(1, unseen - len(vocabulary.characters)))
    costs = np.where(known, 0.0, charge)
    if vocabulary.has_unknown:
        costs[1:] += reader(vocabulary.encode(text))
        return costs[1:]
    places = np.flatnonzero(known)
    costs[places[:1]] = math.log(len(vocabulary))  # the first that is known, with nothing before it
    if len(places) > 1:
        costs[places[1:]] = reader(vocabulary.encode("".join(compress(text, known))))
    return costs[1:]
