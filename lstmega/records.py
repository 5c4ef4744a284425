"""What a run says of itself: the fields of run.json and the rows of history.csv."""

import csv
import dataclasses
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lstmega import display
from lstmega.options import ModelOptions, TrainingOptions
from lstmega.yardsticks import Yardstick

Status = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class HistoryRow:
    """One validation. Losses are per character; None where nothing is held out."""

    step: int
    epoch: int
    train_nats: float
    validation_nats: float | None
    validation_bits: float | None
    learning_rate: float
    characters_per_second: float
    seconds: float


@dataclass(frozen=True)
class SavedWeights:
    """One file below `weights/`; `nats` is the loss that it was judged by."""

    file: str
    sha256: str
    step: int
    epoch: int
    nats: float


@dataclass(frozen=True)
class TextInfo:
    """The text of a run: enough to recognise it, to tell a person about it and to find it again.

    `places` are the paths or names of its sources, paths as seen from the run directory.
    """

    name: str
    sha256: str
    characters: int
    tokens: Literal["char", "byte"]
    line_ends: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]
    places: tuple[str, ...] = ()
    encoding: str | None = None
    lower: bool = False


@dataclass(frozen=True)
class Record:
    """What run.json says.

    Args:
        held_out_characters: Length of held_out.txt, the last part of the text.
        epoch_steps: Steps of one pass over the training part.
        total_steps: None until `--minutes` has timed the first steps.
        step: Steps done when the last state was saved or the last weights were.
        seconds: Training time so far.
        exact: Whether every step so far was computed on a CPU with one number of threads and one set
            of versions, so that a resumed run equals an uninterrupted one bit by bit.
        compiled: Whether XLA compiles the steps; decided once, because it changes the last bits.
        initial: The run, and the sha256 of its weights, that this one started from.
        weights: Every file below weights/, oldest first.
        logs: The sha256 of history.csv and samples.txt, by name.
        yardsticks: Simple models of the same split, measured when the training is finished.
        best: The one with the lowest held-out loss (training loss where nothing is held out).
    """

    name: str
    created: str
    preset: str
    model: ModelOptions
    training: TrainingOptions
    text: TextInfo
    held_out_characters: int
    held_out_sha256: str
    vocabulary_size: int
    vocabulary_sha256: str
    epoch_steps: int
    total_steps: int | None = None
    status: Status = "running"
    step: int = 0
    seconds: float = 0.0
    device: str = ""
    compiled: bool | None = None
    initial: str = ""
    exact: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[SavedWeights, ...] = ()
    best: SavedWeights | None = None
    logs: Mapping[str, str] = field(default_factory=dict)
    yardsticks: tuple[Yardstick, ...] = ()

    @property
    def judged_by(self) -> str:
        """The loss that decided which weights are the best."""
        return "held-out loss" if self.held_out_characters > 1 else "training loss"

    @property
    def reading(self) -> str:
        """What becomes of the state while a text is read."""
        if self.training.lines:
            return "each line from the zero state"
        if self.training.order == "windows":
            return f"the last {self.training.sequence_length} characters read anew for each"
        return "state carried through"

    @property
    def parameters(self) -> int:
        """The number of trained numbers."""
        return self.model.parameters(self.vocabulary_size)

    def facts(self) -> list[tuple[str, str]]:
        """Return what a person wants to know first, as (label, text) pairs."""
        model, text, best = self.model, self.text, self.best
        which = "lines drawn at random, " if self.training.lines else "last "
        held_out = f"{which}{self.held_out_characters:,} {display.unit(text.tokens)}, never trained on"
        return [
            ("status", f"{self.status}, step {self.step:,} of {display.number(self.total_steps)}"),
            (
                "text",
                f"{text.name}: {text.characters:,} {display.unit(text.tokens)}, "
                f"{self.vocabulary_size:,} distinct, sha256 {text.sha256[:12]}",
            ),
            ("held out", held_out if self.held_out_characters else "nothing"),
            (
                "model",
                f"{model.layers} x {model.cell} of {model.units} units, "
                f"{'one-hot' if model.one_hot else f'embedding {model.embedding}'}"
                f"{self._wiring()}, dropout {model.dropout:g}",
            ),
            (
                "parameters",
                f"{self.parameters:,} ({display.layers(model.trained_shapes(self.vocabulary_size))})",
            ),
            (
                f"best {self.judged_by}",
                f"{display.loss(best.nats, text.tokens)} at step {best.step:,}, epoch {best.epoch}"
                if best
                else "none yet",
            ),
            ("trained", f"{display.duration(self.seconds)} on {self.device or '?'}"),
            ("resumes", "bit by bit" if self.exact else "within float noise"),
            ("preset", self.preset),
        ]

    def _wiring(self) -> str:
        names = {"tied": "tied", "residual": "residual", "layer_norm": "normalised"}
        wired = [name for field, name in names.items() if getattr(self.model, field)]
        wired += [f"ReLU {units}" for units in self.model.hidden]
        return "".join(f", {name}" for name in wired)


def to_csv(rows: Sequence[HistoryRow]) -> str:
    """Return history.csv."""
    table = io.StringIO()
    names = [item.name for item in dataclasses.fields(HistoryRow)]
    writer = csv.DictWriter(table, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(dataclasses.asdict(row) for row in rows)
    return table.getvalue()


def from_csv(text: str) -> list[HistoryRow]:
    """Return the rows of history.csv.

    Raises:
        ValueError, TypeError, KeyError: It is not as `to_csv` writes it.
    """
    return [_row(fields) for fields in csv.DictReader(io.StringIO(text))]


def _row(fields: Mapping[str, str]) -> HistoryRow:
    values: dict[str, Any] = {
        item.name: (int if item.name in {"step", "epoch"} else float)(fields[item.name])
        if fields[item.name]
        else None
        for item in dataclasses.fields(HistoryRow)
    }
    return HistoryRow(**values)
