"""Options under one name, and those that suit a time."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from lstmega.config.base import real
from lstmega.config.classifier_options import ClassifierOptions
from lstmega.config.options import ModelOptions, TrainingOptions
from lstmega.errors import UsageError

Model = TypeVar("Model", ModelOptions, ClassifierOptions)


@dataclass(frozen=True)
class Preset:
    """A model and its training under one name."""

    summary: str
    model: ModelOptions
    training: TrainingOptions
    lower: bool = False  # whether the text is read in lower case, where nothing else is said


PRESETS: Mapping[str, Preset] = MappingProxyType(
    {
        "tiny": Preset(
            "half a minute on two cores; for demos and tests",
            ModelOptions(units=128, embedding=32),
            TrainingOptions(
                steps=1000, batch_size=32, sequence_length=64, learning_rate=1e-2, restarts=0.05
            ),
        ),
        "small": Preset(
            "a few minutes on two cores; the default",
            ModelOptions(units=512, embedding=64),
            TrainingOptions(
                steps=3300, batch_size=16, sequence_length=64, learning_rate=4e-3, restarts=0.05
            ),
        ),
        "notebook": Preset(
            "the reference notebook's model and recipe: 20 epochs, shuffled windows",
            ModelOptions(units=1024, embedding=256),
            TrainingOptions(
                epochs=20,
                batch_size=64,
                sequence_length=100,
                learning_rate=1e-3,
                schedule="constant",
                warmup=0,
                clip_norm=None,
                order="shuffled",
            ),
        ),
        "windowed": Preset(
            "Keras' old example: lower case, windows of 40 that predict one character each",
            ModelOptions(units=128, one_hot=True, hidden=(24, 32), hidden_dropout=(0.2, 0.3)),
            TrainingOptions(
                epochs=64,
                batch_size=96,
                sequence_length=40,
                optimizer="rmsprop",
                learning_rate=1e-3,
                schedule="constant",
                warmup=0,
                clip_norm=None,
                order="windows",
            ),
            lower=True,
        ),
        "large": Preset(
            "two layers with dropout, for a GPU",
            ModelOptions(units=1024, layers=2, embedding=128, dropout=0.4),
            TrainingOptions(
                epochs=30, batch_size=64, sequence_length=128, learning_rate=2e-3, restarts=0.02
            ),
        ),
    }
)


DEFAULT, FITTED = "small", "fitted"

_PLAIN = ModelOptions(embedding=64)
_NOISY = _PLAIN.replace(dropout=0.5, input_dropout=0.1, weight_drop=0.3)

# What did best on validation text (benchmarks/README.md): up to six minutes on tiny-shakespeare, up to
# 25 on nietzsche; the last row is not measured. Above six minutes 500,000 characters are read so
# often that noise decides, not size.
_FITTED = tuple(
    (
        most,
        Preset(
            f"up to {most:g} minutes on two cores",
            model.replace(units=units),
            PRESETS[DEFAULT].training.replace(learning_rate=rate),
        ),
    )
    for most, model, units, rate in (
        (0.75, _PLAIN, 256, 1e-2),
        (1.75, _PLAIN, 384, 6e-3),
        (6, _PLAIN, 512, 4e-3),
        (25, _NOISY, 512, 4e-3),
        (math.inf, _NOISY, 768, 3e-3),
    )
)


def fitted(minutes: float) -> Preset:
    """Return the model and training that suit so many minutes on two cores."""
    return next(preset for most, preset in _FITTED if minutes <= most)


def default(changes: Mapping[str, Any]) -> str:
    """Return the name of what `resolve` takes when no preset is named."""
    return DEFAULT if changes.get("minutes") is None else FITTED


def resolve(preset: str | None, changes: Mapping[str, Any]) -> tuple[ModelOptions, TrainingOptions]:
    """Return a preset's options with some fields changed.

    Args:
        preset: A key of `PRESETS`; None is what fits the `minutes` among the changes, else `small`.
        changes: Field name -> value; `None` means "as the preset has it". One of `epochs`, `steps`
            and `minutes` replaces whichever the preset names.

    Raises:
        UsageError: An unknown preset or field, or a value out of bounds.
    """
    if preset is None and default(changes) == FITTED:
        chosen = fitted(real("--minutes", changes["minutes"], 0))
    elif preset is None or (isinstance(preset, str) and preset in PRESETS):
        chosen = PRESETS[preset or DEFAULT]
    else:
        raise UsageError(f"--preset must be one of: {', '.join(PRESETS)}. Received: {preset!r}.")
    return changed((chosen.model, chosen.training), changes)


def given_of(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was given: not None, which means "as it is", nor no value of an option of several."""
    return {
        name: value
        for name, value in changes.items()
        if not (value is None or (isinstance(value, tuple) and not value))
    }


def changed(
    options: tuple[Model, TrainingOptions], changes: Mapping[str, Any]
) -> tuple[Model, TrainingOptions]:
    """Return options with some fields changed; arguments and errors as for `resolve`."""
    model, training = options
    given = given_of(changes)
    of_model = {item.name for item in dataclasses.fields(model)}
    of_training = {item.name for item in dataclasses.fields(TrainingOptions)}
    if unknown := sorted(set(given) - of_model - of_training):
        raise UsageError(f"Unknown options {unknown}. Accepted: {sorted(of_model | of_training)}.")
    lengths = {"epochs": None, "steps": None, "minutes": None}
    for_training = {name: value for name, value in given.items() if name in of_training}
    if lengths.keys() & given.keys():
        for_training = lengths | for_training
    return (
        model.replace(**{name: value for name, value in given.items() if name in of_model}),
        training.replace(**for_training),
    )
