"""Options of a training: length, batches, optimizer and learning rate."""

from dataclasses import dataclass
from typing import Any, Literal

from lstmega.config.base import Config, option, usage_error
from lstmega.errors import UsageError

Order = Literal["lanes", "shuffled", "windows"]
OptimizerName = Literal["adam", "rmsprop"]
ScheduleName = Literal["cosine", "constant"]
DeviceChoice = Literal["auto", "cpu", "gpu"]
Mix = Literal["ngram", "none"]
FixedPrecision = Literal["float32", "bfloat16"]
Precision = Literal["auto", FixedPrecision]

LENGTHS = ("epochs", "steps", "minutes")  # exactly one of them is given
COUNTED = ("lines", "validation", "seed")  # the options that an n-gram model has
# Options about one long text, not about examples.
TEXT_ONLY = ("order", "stride", "lines", "restarts", "mix")
ALL_WEIGHTS = "all"


def most_weights(keep: str) -> int:
    """Return the number of weights files to keep; `keep` is `best,last` or a number.

    Raises:
        UsageError: It is neither.
    """
    if keep == "best,last":
        return 2
    if keep.isascii() and keep.isdecimal() and 2 <= int(keep[:9]) <= 10**6:
        return int(keep[:9])
    raise usage_error("--keep", "best,last, all, or a number from 2 to 1000000", keep)


@dataclass(frozen=True)
class TrainingConfig(Config):
    """Length, batches, optimizer, held-out share and seed of a training."""

    epochs: int | None = option(None, "Train for this many passes over the training data.", 1, 10**6)
    steps: int | None = option(None, "Train for this many batches.", 1, 10**9)
    minutes: float | None = option(
        None,
        "Train for this long: the number of steps follows the speed of the machine.",
        0.05,
        10**6,
    )
    batch_size: int = option(64, "Rows of a batch.", 1, 65536)
    sequence_length: int = option(
        100, "Time steps of a batch; a classifier reads at most this many steps of a sequence.", 1, 65536
    )
    optimizer: OptimizerName = option("adam", "Optimizer.")
    learning_rate: float = option(1e-3, "Peak learning rate.", 1e-9, 10)
    schedule: ScheduleName = option(
        "cosine", "Learning-rate schedule: warm-up and cosine decay, or constant."
    )
    warmup: int = option(
        50, "Steps over which the cosine schedule raises the learning rate from 0.", 0, 10**9
    )
    precision: Precision = option(
        "auto",
        "Factors of the large matrix products: float32, or rounded to bfloat16; auto takes bfloat16 "
        "where the processor multiplies it faster and XLA compiles the steps.",
    )
    clip_norm: float | None = option(
        1.0, "Upper bound of the gradient's global norm; a large bound switches clipping off.", 1e-6, 1e9
    )
    weight_decay: float = option(
        0.0, "Decoupled weight decay of the kernels (AdamW), times the learning rate.", 0, 10
    )
    ema_decay: float = option(
        0.0,
        "Evaluate and save an exponential moving average of the weights (0.999: of about 1,000 steps).",
        0,
        0.999999,
        alias="average",
    )
    order: Order = option(
        "lanes",
        "Batches of contiguous lanes that carry state, of shuffled windows from the zero state, or of "
        "overlapping windows that predict one character each.",
    )
    stride: int = option(3, "Characters between the starts of --order windows.", 1, 65536)
    lines: bool = option(
        False,
        "Treat each line as a text of its own, from the zero state to its line end, and hold out lines "
        "drawn at random; --order and --restarts have no effect.",
    )
    restarts: float = option(
        0.0, "Fraction of rows that restart from the zero state at each batch (lanes only).", 0, 1
    )
    validation: float = option(
        0.1, "Held-out fraction: the end of the text, or lines or examples drawn at random.", 0, 0.9
    )
    mix: Mix = option(
        "ngram",
        "Write with a mixture of the network and an n-gram model of the training text, or with the "
        "network alone.",
        before="none",
    )
    patience: int | None = option(
        None, "Stop after this many validations without a better held-out loss.", 1, 10**6
    )
    keep: str = option(
        "12",
        "Weights of validations to keep: best,last; all; or the best and a thinned history, with the "
        "last, of at most this many files.",
        before="all",
    )
    seed: int = option(0, "Seed of weights, batches, dropout and previews.", 0, 2**31 - 1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.length.values()).count(None) != 2:
            raise UsageError(
                "Give one of --epochs, --steps and --minutes. "
                f"Received: epochs={self.epochs}, steps={self.steps}, minutes={self.minutes}."
            )
        if self.lines and self.order == "windows":
            raise UsageError("--lines and --order windows exclude each other. Received: both.")
        if self.patience is not None and self.validation == 0:
            raise UsageError("--patience needs held-out data. Received: --validation 0.")

        if self.keep != ALL_WEIGHTS:
            most_weights(self.keep)

    @property
    def length(self) -> dict[str, Any]:
        """The length of the training: three fields, of which one is not None."""
        return {name: getattr(self, name) for name in LENGTHS}
