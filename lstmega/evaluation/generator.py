"""How well a run predicts a text: its own held-out tail, or any other.

The first character is not predicted. A text that the run was not made for may have characters that it
does not know; they are charged or skipped by a declared rule.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import compress
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_choice
from lstmega.data.batching import measured_part
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import export as exports
from lstmega.display import formatting as display
from lstmega.display import html
from lstmega.display.heatmap import surprisal
from lstmega.errors import UsageError
from lstmega.evaluation import baselines, scoring
from lstmega.runs import record
from lstmega.runs.record import Baseline
from lstmega.runs.run import GeneratorRun

Protocol = Literal["stream", "window", "dynamic"]
UnknownRule = Literal["charge", "skip"]
Reader = Callable[[npt.NDArray[np.int32]], scoring.Costs]  # ids `[n]` -> nats `[n - 1]`

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
        baselines: Simple models of the same text.
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
    baselines: tuple[Baseline, ...] = ()

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
        """Where the model stands among the baselines, in words."""
        if not self.baselines:
            return ""
        return record.baseline_summary(self.bits_per_character, self.baselines)

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
                for item in self.baselines
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
        """Return the model among its baselines, best first, under a head."""
        return record.baseline_table(self.bits_per_character, self.baselines, self.tokens)

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
    run: GeneratorRun,
    text: Corpus | None = None,
    *,
    protocol: Literal["stream", "window"] = "stream",
    window: int = 64,
    unknown: UnknownRule = "charge",
    done: scoring.Done | None = None,
) -> Evaluation:
    """Measure a run's best weights.

    Args:
        run: A trained run.
        text: What to read; None takes the run's held-out text.
        protocol: `stream` carries the state through, `window` starts anew every `window` characters.
        window: Characters of a window.
        unknown: `charge` costs an unknown character what a uniform choice among all code points that the
            run does not know costs (and `<unk>`, where the run has it); `skip` leaves it out.
        done: Called with the characters read so far and in total.

    Raises:
        UsageError: Nothing was held out, or the text has less than two characters.
    """
    decoder = run.decoder()
    how: dict[str, Any] = {"unknown": unknown, "protocol": protocol}
    if protocol == "window":
        how["window"] = window
        reader = partial(scoring.windows, decoder, length=window, done=done)
    else:
        reader = partial(scoring.stream, decoder, done=done)
    return read_by(run, text, reader, **how)


def read_by(
    run: GeneratorRun, text: Corpus | None, reader: Reader, *, unknown: UnknownRule, **how: Any
) -> Evaluation:
    """Measure a run by any reader of ids; arguments as for `measure`, `how` are `Evaluation`'s."""
    check_choice("--unknown", unknown, ("charge", "skip"))
    content, source, simple = _what(run, text)
    known = run.vocabulary.known(content)
    foreign = int((~known).sum())
    if unknown == "skip" and foreign:
        content = "".join(compress(content, known))
        known = known[known]
    if len(content) < 2:
        raise UsageError(f"Evaluation needs at least 2 characters. Received: {len(content)}.")
    nats = _costs(run.vocabulary, content, known, reader)
    context = _context(run, content) if how["protocol"] == "stream" else 0
    return Evaluation(
        run=run.name,
        source=source,
        text=content[context:],
        nats=nats[context:],
        unknown=foreign,
        rule=unknown,
        tokens=run.record.text.tokens,
        reading=run.record.reading,
        baselines=simple,
        **how,
    )


def _context(run: GeneratorRun, text: str) -> int:
    """Return how many characters a windowed model reads before it is measured."""
    options = run.record.training
    windowed = options.order == "windows" and len(text) > options.sequence_length
    return options.sequence_length - 1 if windowed else 0


def _what(run: GeneratorRun, text: Corpus | None) -> tuple[str, str, tuple[Baseline, ...]]:
    """Return the text to read, its name, and the baselines beside it."""
    begin = "\n" * run.lines  # "a line begins"
    if text is not None:
        if text.tokens != run.record.text.tokens:
            raise UsageError(
                f"{run.name} was trained on {run.record.text.tokens} tokens. Received: a text of "
                f"{text.tokens} tokens. Read it with tokens={run.record.text.tokens!r}."
            )
        simple = baselines.measure("", text.text, tokens=text.tokens)
        return begin + text.text, text.name, tuple(simple)
    if len(run.held_out) < 2:
        raise UsageError(
            f"{run.path} held no text out. Received: {len(run.held_out)} characters. "
            "Name a text to measure it on with --text."
        )
    measured = measured_part(run.held_out, lines=run.lines)
    source = f"the held-out {'lines' if run.lines else 'tail'} of {run.record.text.name}"
    return begin + measured, source, run.record.baselines


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
