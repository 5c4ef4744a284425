import json

import pytest

from lstmega.config import presets
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS, resolve
from lstmega.config.training import TrainingConfig
from lstmega.errors import UsageError
from lstmega.runs import schema

LENGTHS = ("epochs", "steps", "minutes")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_survive_json(name):
    preset = PRESETS[name]
    for options in (preset.model, preset.training):
        content = json.loads(json.dumps(schema.to_json(options)))
        assert schema.build(type(options), content, "options") == options
    assert resolve(name, {}) == (preset.model, preset.training)


class TestResolve:
    def test_changes_both_kinds(self):
        model, training = resolve("small", {"units": 7, "seed": 3, "cell": None})
        assert model == PRESETS["small"].model.replace(units=7)
        assert training == PRESETS["small"].training.replace(seed=3)

    @pytest.mark.parametrize("length", [{"epochs": 2}, {"minutes": 0.5}, {"steps": 3}])
    def test_a_length_replaces_the_presets(self, length):
        _, training = resolve("notebook", length)
        given = {name: getattr(training, name) for name in sorted(LENGTHS)}
        assert {name: value for name, value in given.items() if value is not None} == length

    def test_two_lengths_are_refused(self):
        with pytest.raises(UsageError, match="Give one of"):
            resolve("tiny", {"epochs": 2, "steps": 3})

    @pytest.mark.parametrize("preset", ["huge", "", ["small"], 3])
    def test_unknown_presets(self, preset):
        with pytest.raises(
            UsageError, match="--preset must be one of: tiny, small, notebook, windowed, large"
        ):
            resolve(preset, {})

    def test_unknown_fields(self):
        with pytest.raises(UsageError, match=r"There is no option 'unit'. Did you mean units"):
            resolve("small", {"unit": 1})


class TestFitted:
    def test_small_without_minutes(self):
        assert resolve(None, {}) == resolve("small", {})
        assert presets.default_name({"minutes": None}) == "small"

    def test_more_time_larger_models(self):
        sizes = [resolve(None, {"minutes": m})[0].parameters(84) for m in (0.1, 0.5, 1, 3, 10, 60, 1e6)]
        assert sizes == sorted(sizes) and sizes[0] < sizes[3] < sizes[5]
        assert presets.default_name({"minutes": 3}) == "fitted"

    def test_the_length_of_the_text_decides_too(self):
        chosen = [presets.fitted(3, characters) for characters in (10**5, 5 * 10**5, 10**6, 10**8)]
        assert [one.model.dropout for one in chosen] == [0.3, 0.3, 0, 0]
        assert [one.model.units for one in chosen] == [512, 512, 384, 384]
        assert resolve(None, {"minutes": 3}, 10**5)[0].dropout == 0.3
        assert presets.fitted(3) == presets.fitted(3, 10**6)

    @pytest.mark.parametrize(("minutes", "characters"), [(10, 75_000_000), (8, 3_000_000), (3, 10**9)])
    def test_a_text_that_is_hardly_read_once_has_no_noise(self, minutes, characters):
        model = presets.fitted(minutes, characters).model
        assert (model.dropout, model.weight_drop) == (0, 0)

    def test_a_faster_machine_is_like_more_minutes(self):
        assert presets.fitted(3, 10**6, 4.0) == presets.fitted(12, 10**6)
        measured = (256, 32, 5.0e6), (384, 32, 3.0e6), (512, 32, 1.8e6), (512, 16, 1.3e6)  # in a minute
        for units, rows, read in measured:
            model = PRESETS["small"].model.replace(units=units)
            assert 0.8 < presets.speed(model, rows, read / 60) < 1.2

    @pytest.mark.parametrize(
        ("minutes", "characters", "counted", "mixed"),
        [
            (3, 600_893, 1.359, 1.263),
            (3.3, 1_115_394, 1.502, 1.375),
            (3, 3_000_000, 1.252, 1.192),
            (3, 381_000, 1.514, 1.378),
            (3, 74_710_149, 1.292, 1.258),
            (10, 1_003_854, 1.478, 1.335),
        ],
    )
    def test_forecasts_are_what_was_measured_within_3_percent(self, minutes, characters, counted, mixed):
        assert presets.forecast(minutes, counted, characters) == pytest.approx(mixed, rel=0.03)

    def test_a_named_preset_is_kept(self):
        model, training = resolve("tiny", {"minutes": 60})
        assert (model, training.minutes) == (PRESETS["tiny"].model, 60)

    def test_options_override_it(self):
        assert resolve(None, {"minutes": 3, "units": 7})[0].units == 7

    @pytest.mark.parametrize("minutes", [-1, float("nan"), "3"])
    def test_wrong_minutes(self, minutes):
        with pytest.raises(UsageError, match="--minutes"):
            resolve(None, {"minutes": minutes})

    def test_every_one_is_whole(self):
        for *_, preset in presets._FITTED:
            assert isinstance(preset.model, GeneratorConfig)
            assert isinstance(preset.training, TrainingConfig)
