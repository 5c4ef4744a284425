"""The keyword arguments of the public functions are those of the option dataclasses."""

import dataclasses
from collections.abc import Sequence
from types import NoneType
from typing import get_args, get_origin, get_type_hints

import pytest

from lstmega.config import keywords
from lstmega.config.generation import GenerationConfig
from lstmega.config.model import ClassifierConfig, GeneratorConfig
from lstmega.config.training import TEXT_ONLY, TrainingConfig

TASKS = {
    "generator": (keywords.GeneratorOptions, [GeneratorConfig, TrainingConfig], ()),
    "classifier": (keywords.ClassifierOptions, [ClassifierConfig, TrainingConfig], TEXT_ONLY),
    "generation": (keywords.GenerationOptions, [GenerationConfig], ()),
}


def fields_of(configs, without):
    return {
        name: get_type_hints(config)[item.name]
        for config in configs
        for item in dataclasses.fields(config)
        for name in (item.name, item.metadata["alias"])
        if name is not None and name not in without
    }


def accepted(hint):
    """The types that a user may pass for a field: None keeps the default, one value may be several."""
    if get_origin(hint) is tuple:
        one = get_args(hint)[0]
        return {Sequence[one], one} | ({NoneType} if one is not str else set())
    return {*(get_args(hint) if NoneType in get_args(hint) else (hint,)), NoneType}


@pytest.mark.parametrize(("keywords_of", "configs", "without"), TASKS.values(), ids=TASKS)
def test_names_and_types_agree(keywords_of, configs, without):
    fields, hints = fields_of(configs, without), get_type_hints(keywords_of)
    assert set(hints) == set(fields)
    for name, hint in hints.items():
        expected = accepted(fields[name])
        assert set(get_args(hint)) | ({hint} if not get_args(hint) else set()) == expected, name
