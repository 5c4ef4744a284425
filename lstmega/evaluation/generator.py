"""The loss of a run on a text: its own held-out tail, or any other.

The first character is not predicted. Characters that the run does not know are charged or skipped.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import compress
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from lstmega.config.base import check_choice
from lstmega.config.training import Mix
from lstmega.data.batching import measured_part
from lstmega.data.corpus import Corpus
from lstmega.data.vocabulary import Vocabulary
from lstmega.display import formatting as display
from lstmega.display import html
from lstmega.display.heatmap import Heatmap, surprisal
from lstmega.display.result import PageResult
from lstmega.errors import UsageError
from lstmega.evaluation import baselines, dynamic, scoring
from lstmega.runs import record
from lstmega.runs.record import Baseline
from lstmega.runs.run import GeneratorRun

EvaluationProtocol = Literal["stream", "window", "dynamic"]
UnknownCost = Literal["charge", "skip"]
_ADAPTED = "reading along"  # heads the columns of dynamic evaluation
Reader = Callable[[npt.NDArray[np.int32]], scoring.Costs]  # ids `[n]` -> nats `[n - 1]`


@dataclass(frozen=True)
class Evaluation(PageResult):
    """The cost of a text for a run.

    Args:
        run: The run's name.
        source: The text's name.
        protocol: `stream`, `window` or `dynamic`.
        text: The text that was read, without skipped characters.
        nats: The cost of each character but the first, `[characters]`.
        unknown: Number of characters that the run does not know.
        rule: Whether these were charged or skipped.
        tokens: `char` or `byte`.
        window: Characters of a window, by that protocol.
        rate: The learning rate of dynamic evaluation.
        reading: How the recurrent state is treated while the text is read.
        baselines: Simple models of the same text.
        mix: `ngram` where the n-gram model of the run took part.
        parts: The network of a mixture alone.
        static_nats: Of dynamic evaluation, the mean cost without adaptation.
    """

    run: str
    source: str
    protocol: EvaluationProtocol
    text: str = field(repr=False)
    nats: npt.NDArray[np.float64] = field(repr=False, compare=False)
    unknown: int = 0
    rule: UnknownCost = "charge"
    tokens: Literal["char", "byte"] = "char"
    window: int | None = None
    rate: float | None = None
    reading: str = "state carried through"
    baselines: tuple[Baseline, ...] = ()
    mix: Mix = "none"
    parts: tuple[Baseline, ...] = ()
    static_nats: float | None = None

    @property
    def characters(self) -> int:
        """Number of predicted characters."""
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
        """exp of the mean cost: the number of equally likely characters to choose from."""
        return display.perplexity(self.nats_per_character)

    @property
    def static_bits(self) -> float:
        """Mean cost in bits without adaptation, as the baselines are measured."""
        return display.bits(self.nats_per_character if self.static_nats is None else self.static_nats)

    @property
    def verdict(self) -> str:
        """The model's place among the baselines, in words; empty without baselines."""
        return record.baseline_summary(self.static_bits, self.baselines) if self.baselines else ""

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
            "yardsticks": list(map(asdict, self.baselines)),
            "mix": self.mix,
            "parts": list(map(asdict, self.parts)),
            "static_nats_per_character": self.static_nats,
        }

    def rows(self) -> list[dict[str, Any]]:
        """Return each character but the first, with its cost in nats."""
        pairs = zip(self.text[1:], self.nats.tolist(), strict=True)
        return [{"character": one, "nats": nats} for one, nats in pairs]

    @property
    def heading(self) -> str:
        how = {
            "stream": self.reading,
            "window": f"windows of {self.window} from the zero state",
            "dynamic": f"{self.reading}, adapting at rate {self.rate:g}" if self.rate else "",
        }[self.protocol]
        unit = display.unit(self.tokens)
        return f"{self.run}: {self.source}, {self.characters:,} {unit} predicted, {how}"

    @property
    def remark(self) -> str:
        done = "were left out" if self.rule == "skip" else "were charged as any unseen code point"
        unknown = f"{self.unknown:,} characters that the run does not know {done}."
        place = f"This model is {self.verdict}."
        adapted = (
            f"{_ADAPTED}: the model adapts to the text that it is measured on; the other columns do not."
        )
        remarks = {unknown: self.unknown, place: self.baselines, adapted: self.static_nats is not None}
        return "\n\n".join(remark for remark, holds in remarks.items() if holds)

    def table(self) -> list[list[str]]:
        """Return the model among its baselines, best first, under a head.

        Losses with adaptation have columns of their own.
        """
        beside = (*self.parts, *self.baselines)
        table = record.baseline_table(self.static_bits, beside, self.tokens)
        if self.static_nats is None:
            return table
        adaptive = [f"{self.nats_per_character:.3f}", f"{self.bits_per_character:.3f}"]
        head = [f"{_ADAPTED}: nats", f"bits/{self.tokens}"]
        rows = [row + (adaptive if row[0] == record.THIS_MODEL else ["", ""]) for row in table[1:]]
        return [table[0] + head, *rows]

    def _page(self, most: int | None = None) -> Heatmap:
        text, note = self.text[:most], self.verdict if most is None else ""
        return surprisal(text, self.nats[: len(text) - 1], title=self.heading, note=note)

    def _repr_html_(self) -> str:
        return html.table(self.table(), self.heading) + super()._repr_html_()


def measure(
    run: GeneratorRun,
    text: Corpus | None = None,
    *,
    protocol: Literal["stream", "window"] = "stream",
    window: int = scoring.WINDOW,
    unknown: UnknownCost = "charge",
    mix: Mix | None = None,
    progress: scoring.ReadProgress | None = None,
) -> Evaluation:
    """Measure a run's best weights; arguments and errors as for `lstmega.evaluate`.

    Args:
        unknown: `charge` costs an unknown character as much as a uniform choice among all code points
            that the run does not know (and `<unk>`, where the run has it); `skip` leaves it out.
        mix: As for `GeneratorRun.decoder`. On the held-out text each character is charged its share of
            the cost of the mixture's exponents, which were fitted there.
        progress: Called with the characters read so far and in total.
    """
    decoder = run.decoder(mix)
    how: dict[str, Any] = {"unknown": unknown, "protocol": protocol, "charge": _charge(run, text, mix)}
    if mix != "none" and run.record.mixture is not None:
        how["mix"] = "ngram"
        how["parts"] = run.record.parts if text is None and protocol == "stream" else ()
    if protocol == "stream":
        reader = partial(scoring.stream, decoder, progress=progress)
        return read_by(run, text, reader, **how)
    reader = partial(scoring.windows, decoder, length=window, progress=progress)
    return read_by(run, text, reader, window=window, **how)


def measure_dynamic(
    run: GeneratorRun,
    text: Corpus | None = None,
    *,
    rate: float,
    unknown: UnknownCost = "charge",
    mix: Mix | None = None,
    progress: scoring.ReadProgress | None = None,
) -> Evaluation:
    """Measure a run as it is, and while it adapts to the text; arguments as for `measure`.

    Args:
        rate: The learning rate of the correction, above 0.
    """
    rate = dynamic.check_rate(rate)
    static = measure(run, text, unknown=unknown, mix=mix, progress=progress)
    size = len(run.vocabulary)
    reader = partial(dynamic.stream, run.decoder(mix), rate=rate, size=size, progress=progress)
    nats = _costs(run.vocabulary, static.text, run.vocabulary.known(static.text), reader)
    return replace(
        static,
        protocol="dynamic",
        rate=rate,
        nats=nats + _charge(run, text, mix),
        static_nats=static.nats_per_character,
    )


def _charge(run: GeneratorRun, text: Corpus | None, mix: Mix | None) -> float:
    """Return the nats that each character of the held-out text costs for the exponents fitted there."""
    mixture = run.record.mixture
    return mixture.charge if text is None and mix != "none" and mixture is not None else 0.0


def read_by(
    run: GeneratorRun,
    text: Corpus | None,
    reader: Reader,
    *,
    unknown: UnknownCost,
    charge: float = 0.0,
    **how: Any,
) -> Evaluation:
    """Measure a run by any reader of ids; arguments as for `measure`, `how` are `Evaluation`'s.

    Args:
        charge: Nats that each character costs beside its surprisal.
    """
    check_choice("--unknown", unknown, get_args(UnknownCost))
    content, source, simple = _to_read(run, text)
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
        nats=nats[context:] + charge,
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


def _to_read(run: GeneratorRun, text: Corpus | None) -> tuple[str, str, tuple[Baseline, ...]]:
    """Return the text to read, its name, and the baselines beside it."""
    begin = "\n" * run.lines  # a line begins behind a line end
    if text is not None:
        scoring.check_tokens(run, text)
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
