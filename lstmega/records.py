"""What a run says of itself: the fields of run.json and the rows of history.csv."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from lstmega.options import ModelOptions, TrainingOptions

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
    """The text of a run: enough to recognise it and to tell a person about it."""

    name: str
    sha256: str
    characters: int
    tokens: str
    line_ends: str
    sources: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Record:
    """What run.json says.

    Args:
        held_out_characters: Length of held_out.txt, the last part of the text.
        epoch_steps: Steps of one pass over the training part.
        total_steps: None until `--minutes` has timed the first steps.
        step: Steps done at the last validation.
        seconds: Training time so far.
        exact: Whether every step so far was computed by one CPU with one number of threads, so that
            the same command repeats the run bit by bit; else within float noise.
        initial: The run, and the sha256 of its weights, that this one started from.
        weights: Every file below weights/, oldest first.
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
    initial: str = ""
    exact: bool = True
    versions: Mapping[str, str] = field(default_factory=dict)
    weights: tuple[SavedWeights, ...] = ()
    best: SavedWeights | None = None

    @property
    def judged_by(self) -> str:
        """The loss that decided which weights are the best."""
        return "held-out loss" if self.held_out_characters > 1 else "training loss"

    @property
    def parameters(self) -> int:
        """The number of trained numbers."""
        return self.model.parameters(self.vocabulary_size)
