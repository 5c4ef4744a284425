"""Options: every field by its own metadata, presets, and JSON that nobody trusts."""

import dataclasses
import json
import math
from typing import Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstmega.config.base import flag
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.config.training import TrainingConfig
from lstmega.errors import RunError, UsageError
from lstmega.runs import schema

MODEL = GeneratorConfig()
TRAINING = TrainingConfig(steps=10)
FIELDS = [
    (options, item, get_type_hints(type(options))[item.name])
    for options in (MODEL, TRAINING)
    for item in dataclasses.fields(options)
]
LENGTHS = {"epochs", "steps", "minutes"}


def kind_of(hint):
    """Return the type without `None`, and whether `None` is accepted."""
    if get_origin(hint) in (None, Literal, tuple):
        return hint, False
    return get_args(hint)[0], type(None) in get_args(hint)


def changed(options, name, value):
    """Return the options with one field changed; a length replaces the length."""
    if name in LENGTHS and value is not None:
        return options.replace(**(dict.fromkeys(LENGTHS) | {name: value}))
    return options.replace(**{name: value})


NUMBERS = [field for field in FIELDS if kind_of(field[2])[0] in (int, float)]
SEVERAL = [field for field in FIELDS if get_origin(field[2]) is tuple]
SWITCHES = [field for field in FIELDS if kind_of(field[2])[0] is bool]
CHOICES = [field for field in FIELDS if get_origin(kind_of(field[2])[0]) is Literal]


def named(fields):
    return pytest.mark.parametrize(
        ("options", "item", "hint"), fields, ids=[item.name for _, item, _ in fields]
    )


def test_every_field_is_a_number_a_switch_or_a_choice_with_a_sentence():
    words = [item.name for _, item, hint in FIELDS if hint is str]
    assert set(words) <= {"keep"}
    assert len(NUMBERS) + len(SEVERAL) + len(SWITCHES) + len(CHOICES) + len(words) == len(FIELDS)
    for _, item, _ in FIELDS:
        assert item.metadata["doc"].endswith(".")


@named(NUMBERS)
class TestNumbers:
    def test_accept_their_bounds(self, options, item, hint):
        for bound in (item.metadata["low"], item.metadata["high"]):
            if bound is not None:
                assert getattr(changed(options, item.name, bound), item.name) == bound

    def test_refuse_what_is_beyond(self, options, item, hint):
        step = 1 if kind_of(hint)[0] is int else 1e-12
        low, high = item.metadata["low"], item.metadata["high"]
        beyond = [low - step] + ([] if high is None else [high + max(step, 1e-3)])
        for value in beyond:
            with pytest.raises(UsageError) as caught:
                changed(options, item.name, value)
            message = str(caught.value)
            assert message.startswith(f"{flag(item.name)} must be ")
            assert message.endswith(f"Received: {value!r}.")

    @pytest.mark.parametrize("value", ["1", True, math.nan, math.inf, -math.inf, [1], {}, 1j])
    def test_refuse_what_is_no_finite_number(self, options, item, hint, value):
        with pytest.raises(UsageError, match=f"^{flag(item.name)} must be "):
            changed(options, item.name, value)

    def test_whole_numbers_have_no_fraction(self, options, item, hint):
        if kind_of(hint)[0] is int:
            with pytest.raises(UsageError, match=r"a whole number. Received: 1.0"):
                changed(options, item.name, 1.0)
        else:
            with pytest.raises(UsageError, match="a finite number"):
                changed(options, item.name, 10**400)

    def test_absent_only_where_it_means_something(self, options, item, hint):
        if item.name in LENGTHS or kind_of(hint)[1]:
            empty = dict.fromkeys({"patience", "clip_norm", "output_dropout"} & vars(options).keys())
            assert getattr(options.replace(**empty), item.name) in (None, 10)
        else:
            with pytest.raises(UsageError, match="Received: None"):
                changed(options, item.name, None)


@named(CHOICES)
def test_choices(options, item, hint):
    for choice in get_args(hint):
        assert getattr(changed(options, item.name, choice), item.name) == choice
    for value in ("", "neither", None, 0, ["lstm"], get_args(hint)[0].upper()):
        with pytest.raises(UsageError) as caught:
            changed(options, item.name, value)
        assert all(choice in str(caught.value) for choice in get_args(hint))
        assert repr(value) in str(caught.value)


@pytest.mark.parametrize("lengths", [{}, {"epochs": 1, "steps": 1}, {"steps": 1, "minutes": 1}])
def test_one_length_and_only_one(lengths):
    with pytest.raises(UsageError, match=r"Give one of --epochs, --steps and --minutes. Received"):
        TrainingConfig(**lengths)


def test_several_numbers_are_checked_one_by_one():
    found = GeneratorConfig(hidden=[24, 32], hidden_dropout=(0, 0.3))
    assert (found.hidden, found.hidden_dropout) == ((24, 32), (0.0, 0.3))
    assert GeneratorConfig(hidden=8).hidden == (8,)
    for hidden in ([24, 0], "24", [1.5], [None], [[1]]):
        with pytest.raises(UsageError, match="--hidden must be"):
            GeneratorConfig(hidden=hidden)
    with pytest.raises(UsageError, match=r"one fraction for each --hidden layer. Received: 1 for 2"):
        GeneratorConfig(hidden=(24, 32), hidden_dropout=0.5)


@pytest.mark.parametrize("other", [{"tied": True}, {"input_dropout": 0.1}])
def test_one_hot_has_no_embedding(other):
    with pytest.raises(UsageError, match=r"needs an embedding. Received: --one-hot"):
        GeneratorConfig(one_hot=True, **other)


def test_lines_are_no_windows():
    with pytest.raises(UsageError, match="exclude each other"):
        TrainingConfig(steps=1, lines=True, order="windows")


def test_patience_needs_held_out_text():
    with pytest.raises(UsageError, match="--patience needs held-out data"):
        TrainingConfig(steps=1, patience=2, validation=0.0)


def test_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        MODEL.units = 1


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
HOSTILE = st.recursive(
    VALUES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@pytest.mark.parametrize("kind", [GeneratorConfig, TrainingConfig])
class TestJson:
    @given(st.data())
    def test_hostile_fields_are_accepted_or_refused(self, kind, data):
        names = st.sampled_from([item.name for item in dataclasses.fields(kind)])
        fields = data.draw(st.dictionaries(names, HOSTILE, max_size=4))
        try:
            options = schema.build(kind, fields, "options")
        except (UsageError, RunError):
            return
        again = json.loads(json.dumps(schema.to_json(options)))
        assert schema.build(kind, again, "options") == options

    @given(content=HOSTILE)
    def test_hostile_values_are_refused(self, kind, content):
        if content == {} and kind is GeneratorConfig:
            assert schema.build(kind, content, "options") == kind()
        else:
            with pytest.raises((UsageError, RunError)):
                schema.build(kind, content, "options")

    def test_unknown_fields_are_named(self, kind):
        with pytest.raises(RunError, match=r"\['unit'\]"):
            schema.build(kind, {"unit": 3}, "options")


class TestWeights:
    def test_the_notebook_on_nietzsche(self):
        model = PRESETS["notebook"].model
        sizes = {name: math.prod(shape) for name, shape in model.weight_shapes(84).items()}
        assert model.parameters(84) == 5_354_580
        assert sizes["embedding/embeddings"] == 21_504
        assert sum(size for name, size in sizes.items() if "lstm" in name) == 5_246_976
        assert sizes["logits/kernel"] + sizes["logits/bias"] == 86_100

    @pytest.mark.parametrize(
        ("cell", "per_layer"),
        [("lstm", 4 * (3 * 5 + 5 * 5 + 5)), ("gru", 3 * (3 * 5 + 5 * 5 + 2 * 5)),
         ("rnn", 3 * 5 + 5 * 5 + 5)],
    )  # fmt: skip
    def test_every_cell(self, cell, per_layer):
        model = GeneratorConfig(cell=cell, units=5, embedding=3, layers=1)
        assert model.parameters(2) == 2 * 3 + per_layer + 5 * 2 + 2

    def test_layers_are_named_from_below(self):
        model = GeneratorConfig(cell="gru", layers=3, units=4, embedding=9)
        assert model.layer_names() == [("gru_1",), ("gru_2",), ("gru_3",)]
        shapes = model.weight_shapes(2)
        assert [shapes[f"{name}/kernel"][0] for (name,) in model.layer_names()] == [9, 4, 4]
        assert next(iter(shapes)) == "embedding/embeddings"
        assert list(shapes)[-1] == "logits/bias"


def test_the_last_layers_dropout_may_differ():
    assert GeneratorConfig(layers=3, dropout=0.2).dropouts() == [0.2, 0.2, 0.2]
    assert GeneratorConfig(layers=3, dropout=0.2, output_dropout=0).dropouts() == [0.2, 0.2, 0]


def test_a_residual_needs_two_layers():
    with pytest.raises(UsageError, match="--residual needs a layer above the first"):
        GeneratorConfig(residual=True)


@pytest.mark.parametrize("value", [1, "yes", 0.0])
def test_a_switch_is_true_or_false(value):
    with pytest.raises(UsageError, match="--tied must be True or False"):
        GeneratorConfig(tied=value)


@pytest.mark.parametrize(("name", "spelled"), [("batch_size", "--batch-size"), ("seed", "--seed")])
def test_flag(name, spelled):
    assert flag(name) == spelled
