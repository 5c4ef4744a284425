"""Keyword arguments of the public functions, for type checkers and editors.

Each class lists the fields of an option dataclass, because type checkers cannot derive the one from the
other; a test demands that names and types agree. The names under "Earlier names" remain valid.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

from lstmega.config.generation import Vary
from lstmega.config.model import Cell, GeneratorCell, Pool, Split
from lstmega.config.training import Mix, OptimizerName, Order, Precision, ScheduleName

Several = Sequence[str] | str


class RecurrentOptions(TypedDict, total=False):
    """Fields of `RecurrentConfig` that both kinds of model have."""

    units: int | None
    layers: int | None
    embedding: int | None
    residual: bool | None
    layer_norm: bool | None
    dropout: float | None
    input_dropout: float | None
    weight_drop: float | None


class TrainingOptions(TypedDict, total=False):
    """Fields of `TrainingConfig` that all trainings have."""

    epochs: int | None
    steps: int | None
    minutes: float | None
    batch_size: int | None
    sequence_length: int | None
    optimizer: OptimizerName | None
    learning_rate: float | None
    schedule: ScheduleName | None
    warmup: int | None
    precision: Precision | None
    clip_norm: float | None
    weight_decay: float | None
    ema_decay: float | None
    validation: float | None
    patience: int | None
    keep: str | None
    seed: int | None
    # Earlier names.
    average: float | None


class GeneratorOptions(RecurrentOptions, TrainingOptions, total=False):
    """Fields of `GeneratorConfig` and `TrainingConfig`."""

    cell: GeneratorCell | None
    tied: bool | None
    output_dropout: float | None
    variational: bool | None
    one_hot: bool | None
    hidden: Sequence[int] | int | None
    hidden_dropout: Sequence[float] | float | None
    order: Order | None
    stride: int | None
    lines: bool | None
    restarts: float | None
    mix: Mix | None


class ClassifierOptions(RecurrentOptions, TrainingOptions, total=False):
    """Fields of `ClassifierConfig`, and of `TrainingConfig` those that apply to classifiers."""

    cell: Cell | None
    bidirectional: bool | None
    pool: Pool | None
    token_dropout: float | None
    label_smoothing: float | None
    class_weight_power: float | None
    split: Split | None
    # Earlier names.
    smoothing: float | None
    balance: float | None


class GenerationOptions(TypedDict, total=False):
    """Fields of `GenerationConfig`."""

    top_k: int | None
    top_p: float | None
    min_p: float | None
    typical_p: float | None
    repetition_penalty: float | None
    repetition_window: int | None
    no_repeat_ngram: int | None
    no_copy: int | None
    ban: Several
    require: Several
    regex: str | None
    acrostic: str | None
    stop: Several
    lines: int | None
    mix: Mix | None
    vary: Vary | None
    # Earlier names.
    typical: float | None
    penalty: float | None
    penalty_window: int | None
    no_repeat: int | None


class SamplingOptions(GenerationOptions, total=False):
    """Fields of `GenerationConfig`, for the functions that write several texts."""

    # Earlier name of `num_samples`.
    count: int


class ReadingOptions(TypedDict, total=False):
    """The options with which labelled data is read."""

    label: str | None
    text: Several
    header: bool | None
    class_names: str | Path | None
    labels: str | Path | None
    encoding: str | None
