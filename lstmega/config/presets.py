"""Presets: a model and its training under one name, for a training time, or for a kind of data."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from lstmega.config.base import check_choice, check_float, renamed
from lstmega.config.model import ClassifierConfig, GeneratorConfig, RecurrentConfig
from lstmega.config.training import LENGTHS, TrainingConfig

ADAPTATION_RATE = 0.025  # learning rate, in `evaluate --dynamic` and `write`

ModelT = TypeVar("ModelT", bound=RecurrentConfig)


@dataclass(frozen=True)
class Preset:
    """A generator and its training under one name.

    Args:
        summary: Its purpose, in a few words.
        model, training: Its options.
        lower: Whether the text is read in lower case by default.
    """

    summary: str
    model: GeneratorConfig
    training: TrainingConfig
    lower: bool = False


_COSINE = TrainingConfig(
    steps=1000, batch_size=32, sequence_length=64, learning_rate=1e-2, restarts=0.05
)
_CONSTANT = TrainingConfig(
    epochs=20, schedule="constant", warmup=0, clip_norm=None, learning_rate=1e-3, mix="none"
)

PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "tiny": Preset(
            "half a minute on two cores; for demos and tests",
            GeneratorConfig(units=128, embedding=32),
            _COSINE,
        ),
        "small": Preset(
            "a few minutes on two cores; the default",
            GeneratorConfig(units=512, embedding=64),
            _COSINE.replace(steps=3300, batch_size=16, learning_rate=4e-3),
        ),
        "notebook": Preset(
            "the reference notebook's model and recipe: 20 epochs, shuffled windows",
            GeneratorConfig(units=1024, embedding=256),
            _CONSTANT.replace(batch_size=64, sequence_length=100, order="shuffled"),
        ),
        "windowed": Preset(
            "Keras' old example: lower case, windows of 40 that predict one character each",
            GeneratorConfig(units=128, one_hot=True, hidden=(24, 32), hidden_dropout=(0.2, 0.3)),
            _CONSTANT.replace(
                epochs=64, batch_size=96, sequence_length=40, optimizer="rmsprop", order="windows"
            ),
            lower=True,
        ),
        "large": Preset(
            "two layers with dropout, for a GPU",
            GeneratorConfig(units=1024, layers=2, embedding=128, dropout=0.4),
            TrainingConfig(
                epochs=30, batch_size=64, sequence_length=128, learning_rate=2e-3, restarts=0.02
            ),
        ),
    }
)
DEFAULT, FITTED = "small", "fitted"
PREVIEW_TEMPERATURES, PREVIEW_LENGTH = (0.5, 0.7, 0.9), 160  # of samples during the training, characters

_PLAIN = GeneratorConfig(embedding=64)
_SOME, _DROPPED = _PLAIN.replace(dropout=0.2), _PLAIN.replace(dropout=0.3)
_NOISY = _PLAIN.replace(dropout=0.5, input_dropout=0.1, weight_drop=0.3)
_TYPICAL = 1_000_000  # characters of a text, where it is not known yet
# Characters that a minute reads on two cores with products of bfloat16, about: at 512 units in batches
# of 16 rows; (512 / u) ** 1.7 times as many at u, and 1.35 times as many with 32 rows.
_READ, _READ_UNITS, _READ_POWER, _READ_ROWS = 1_300_000, 512, 1.7, 1.35
# Each row: most minutes, fewest epochs in them, and the options that were best on validation text then
# (benchmarks/README.md; the rows for any number of minutes were not measured). A short text is read so
# often that regularisation decides; where a text is long, fast reading does.
_FITTED = tuple(
    (
        most,
        epochs,
        Preset(
            f"up to {most:g} minutes on two cores, from {epochs:g} epochs on",
            model.replace(units=units),
            PRESETS[DEFAULT].training.replace(batch_size=rows, learning_rate=rate, weight_decay=decay),
        ),
    )
    for most, epochs, model, units, rows, rate, decay in (
        (0.5, 0, _PLAIN, 256, 16, 1e-2, 0.0),
        (0.85, 0, _PLAIN, 256, 32, 1e-2, 0.1),
        (4.2, 6, _DROPPED, 512, 32, 8e-3, 0.3),
        (4.2, 4, _PLAIN, 512, 16, 4e-3, 0.0),
        (4.2, 0, _PLAIN, 384, 32, 1e-2, 0.1),
        (17, 15, _NOISY, 512, 16, 4e-3, 0.0),
        (17, 4, _SOME, 512, 32, 8e-3, 0.1),
        (17, 0, _PLAIN, 512, 32, 1e-2, 0.1),
        (math.inf, 15, _NOISY, 768, 16, 3e-3, 0.0),
        (math.inf, 0, _DROPPED, 768, 32, 6e-3, 0.3),
    )
)

# By kind of token. Chosen on names, AG News and MNIST, and so a little on their test rows
# (benchmarks/README.md).
_TEXTS = ClassifierConfig(bidirectional=True, pool="max", dropout=0.5)
_EXAMPLES = TrainingConfig(epochs=12, batch_size=128, sequence_length=400, ema_decay=0.99)
CLASSIFIERS: Mapping[str, tuple[ClassifierConfig, TrainingConfig]] = MappingProxyType(
    {
        "char": (
            _TEXTS.replace(embedding=32, input_dropout=0.1, token_dropout=0.1, class_weight_power=0.3),
            _EXAMPLES.replace(epochs=20, learning_rate=0.015),
        ),
        "word": (
            _TEXTS.replace(embedding=128, input_dropout=0.3, token_dropout=0.35, label_smoothing=0.05),
            _EXAMPLES.replace(epochs=6, batch_size=64, learning_rate=5e-3),
        ),
        "vector": (
            ClassifierConfig(dropout=0.2),
            _EXAMPLES.replace(sequence_length=1000, learning_rate=5e-3),
        ),
    }
)


def fitted(minutes: float, characters: int | None = None, speed: float = 1.0) -> Preset:
    """Return the model and training for a number of minutes.

    Args:
        minutes: The training time.
        characters: Length of the text; None takes a million.
        speed: Of the machine, where two cores of a server are 1.
    """
    minutes *= speed
    characters = characters or _TYPICAL
    epochs = minutes * _READ / characters
    chosen = next(preset for most, least, preset in _FITTED if minutes <= most and epochs >= least)
    rows, length = chosen.training.batch_size, chosen.training.sequence_length
    # A short text gives few rows.
    rows = max(1, min(rows, characters // (2 * length)))
    return dataclasses.replace(chosen, training=chosen.training.replace(batch_size=rows))


def speed(model: RecurrentConfig, rows: int, characters: float) -> float:
    """Return the speed of a machine by a training on it, within a third; two cores of a server are 1.

    Args:
        model: The model that is trained.
        rows: Of a batch.
        characters: Characters read in a second.
    """
    expected: float = _READ * (_READ_UNITS / model.units) ** _READ_POWER
    return 60 * characters / (expected * (_READ_ROWS if rows >= 32 else 1))


def forecast(minutes: float, counted: float, characters: int) -> float:
    """Return the loss to expect of a mixture after `--minutes`, in nats per character, within 3%.

    Args:
        minutes: The training time.
        counted: The loss of the n-gram model alone.
        characters: Length of the text.
    """
    epochs = minutes * _READ / characters
    gain: float = max(0.0, 0.05 + 0.028 * math.log(minutes)) * min(1.0, (epochs / 2.7) ** 0.25)
    return counted * (1 - gain)


def default_name(changes: Mapping[str, Any]) -> str:
    """Return the name of the preset that `resolve` takes when none is named."""
    return DEFAULT if changes.get("minutes") is None else FITTED


def resolve(
    preset: str | None,
    changes: Mapping[str, Any],
    characters: int | None = None,
    speed: float = 1.0,
) -> tuple[GeneratorConfig, TrainingConfig]:
    """Return a preset's options with some fields changed.

    Args:
        preset: A key of `PRESETS`; None takes the preset for the changes' `minutes`, or `small`.
        changes: Field name -> value; None keeps the preset's value. One of `epochs`, `steps` and
            `minutes` replaces whichever the preset names.
        characters, speed: Length of the text and speed of the machine, for `minutes`.

    Raises:
        UsageError: The preset or a field does not exist, or a value is out of bounds.
    """
    if preset is not None:
        chosen = PRESETS[check_choice("--preset", preset, list(PRESETS))]
    elif default_name(changes) == FITTED:
        chosen = fitted(check_float("--minutes", changes["minutes"], 0), characters, speed)
    else:
        chosen = PRESETS[DEFAULT]
    return changed((chosen.model, chosen.training), changes)


def given_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the changes that were given: neither None nor the empty tuple of a repeatable option."""
    return {
        name: value
        for name, value in changes.items()
        if not (value is None or (isinstance(value, tuple) and not value))
    }


def changed(
    options: tuple[ModelT, TrainingConfig], changes: Mapping[str, Any]
) -> tuple[ModelT, TrainingConfig]:
    """Return options with some fields changed; arguments and errors as for `resolve`."""
    model, training = options
    given = renamed(given_of(changes), type(model), TrainingConfig)
    of_model = {item.name for item in dataclasses.fields(model)}
    for_training = {name: value for name, value in given.items() if name not in of_model}
    if for_training.keys() & set(LENGTHS):
        for_training = dict.fromkeys(LENGTHS) | for_training
    return (
        model.replace(**{name: value for name, value in given.items() if name in of_model}),
        training.replace(**for_training),
    )
