import errno
import json
import os
import shutil

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lstmega import files
from lstmega.display.history import HistoryRow
from lstmega.errors import DamageError, RunError
from lstmega.runs import schema
from lstmega.runs import state as states
from lstmega.runs.state import TrainingState

ROW = HistoryRow(3, 1, 2.0, 1.1, 1.5, 0.1, 100.0, 2.5)
ARRAYS = {
    "network/000": np.arange(6, dtype=np.float32).reshape(2, 3),
    "network/001": np.array([7, 8], np.int64),
    "optimizer/000": np.array(3, np.int64),
    "lanes/000": np.ones((2, 2), np.float32),
}
SHAPES = {name: (array.shape, str(array.dtype)) for name, array in ARRAYS.items()}


def state(step=4):
    return TrainingState(
        step=step,
        total_steps=10,
        text_sha256="t",
        vocabulary_sha256="v",
        nats=0.1 + 0.2,
        losses=1,
        smooth=1 / 3,
        busy=0.5,
        seconds=2.5,
        history=(ROW,),
        samples="a\n\ud800\x00",
        versions={"python": "3"},
    )


def test_comes_back_as_it_was(tmp_path):
    path = states.save(tmp_path / "state", state(), ARRAYS)
    again, arrays = states.load(path, SHAPES)
    assert (again.nats, again.smooth, again.samples, again.history) == (
        0.1 + 0.2,
        1 / 3,
        "a\n\ud800\x00",
        (ROW,),
    )
    assert set(arrays) == set(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)
        assert arrays[name].dtype == array.dtype


def test_the_last_two_are_kept(tmp_path):
    for step in (2, 4, 10):
        states.save(tmp_path, state(step), ARRAYS)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000010", "step-00000004"}


def test_a_new_past_replaces_an_abandoned_future(tmp_path):
    for step in (2, 4, 10, 6):
        states.save(tmp_path, state(step), ARRAYS)
    assert {path.name for path in tmp_path.iterdir()} == {"step-00000006", "step-00000004"}


def test_a_state_under_another_steps_name_is_not_believed(tmp_path):
    path = states.save(tmp_path, state(4), ARRAYS)
    with pytest.raises(RunError, match="holds the state of step 4"):
        states.load(path.rename(tmp_path / "step-00000008"), SHAPES)


def test_a_state_of_the_same_step_can_be_saved_when_the_damaged_one_is_set_aside(tmp_path):
    path = states.save(tmp_path, state(), ARRAYS)
    (path / "state.json").write_bytes(b"{")
    states.set_aside(path)
    assert states.paths(tmp_path) == []
    states.save(tmp_path, state(), ARRAYS)
    assert states.load(path, SHAPES)[0].step == 4


def test_a_failed_save_leaves_the_states_before(tmp_path, monkeypatch):
    path = states.save(tmp_path, state(), ARRAYS)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(safetensors.numpy, "save", full)
    with pytest.raises(OSError, match="No space"):
        states.save(tmp_path, state(5), ARRAYS)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("file", ["arrays.safetensors", "state.json"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_found(tmp_path, file, data):
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    path = states.save(tmp_path / "state", state(), ARRAYS) / file
    content = bytearray(path.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    try:
        again, arrays = states.load(path.parent, SHAPES)
    except RunError:
        return
    # White space and escapes can be written otherwise; then nothing has changed.
    assert again.history == (ROW,)
    assert again.samples == state().samples
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(arrays[name], array)


@pytest.mark.parametrize("keep", [0, 1, 100])
@pytest.mark.parametrize("file", ["arrays.safetensors", "state.json"])
def test_truncated(tmp_path, file, keep):
    path = states.save(tmp_path, state(), ARRAYS)
    (path / file).write_bytes((path / file).read_bytes()[:keep])
    with pytest.raises(RunError):
        states.load(path, SHAPES)


def test_half_deleted(tmp_path):
    path = states.save(tmp_path, state(), ARRAYS)
    (path / "arrays.safetensors").unlink()
    with pytest.raises(RunError, match="arrays"):
        states.load(path, SHAPES)


def test_another_model(tmp_path):
    path = states.save(tmp_path, state(), ARRAYS)
    with pytest.raises(RunError, match="network/000 must be float32"):
        states.load(path, SHAPES | {"network/000": ((3, 2), "float32")})
    with pytest.raises(RunError, match="not of this model"):
        states.load(path, {name: SHAPES[name] for name in list(SHAPES)[1:]})


def test_newer_schema(tmp_path):
    path = states.save(tmp_path, state(), ARRAYS) / "state.json"
    content = json.loads(path.read_bytes())
    del content["schema"], content["sha256"]
    path.write_bytes(schema.seal(content, 9))
    with pytest.raises(RunError, match="schema 9") as caught:
        states.load(path.parent, SHAPES)
    assert not isinstance(caught.value, DamageError)


def test_arrays_behind_a_link_are_not_read(tmp_path):
    path = states.save(tmp_path, state(), ARRAYS) / "arrays.safetensors"
    shutil.move(path, tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DamageError, match="safetensors cannot be read"):
        states.load(path.parent, SHAPES)


def a_file(path):
    shutil.rmtree(path)
    path.write_text("a file")


def a_pipe(path):
    (path / "state.json").unlink()
    os.mkfifo(path / "state.json")


def a_directory(path):
    (path / "arrays.safetensors").unlink()
    (path / "arrays.safetensors").mkdir()


def of_type(kind):
    """The first array says that it is of a type that NumPy lacks."""

    def damage(path):
        content = (path / "arrays.safetensors").read_bytes()
        size = int.from_bytes(content[:8], "little")
        header = content[8 : 8 + size].replace(b'"dtype":"F32"', f'"dtype":"{kind}"'.encode(), 1)
        changed = len(header).to_bytes(8, "little") + header + content[8 + size :]
        (path / "arrays.safetensors").write_bytes(changed)

    return damage


@pytest.mark.parametrize("damage", [a_file, a_pipe, a_directory, of_type("BF16"), of_type("F8_E4M3")])
def test_a_state_that_cannot_be_read_is_damaged(tmp_path, damage):
    path = states.save(tmp_path, state(), ARRAYS)
    damage(path)
    with pytest.raises(DamageError, match="step-00000004"):
        states.load(path, SHAPES)


def test_an_error_of_the_disk_is_damage_and_has_the_path(tmp_path, monkeypatch):
    path = states.save(tmp_path, state(), ARRAYS)

    def broken(path, most):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(files, "read", broken)
    with pytest.raises(
        DamageError, match=r"step-00000004/state.json cannot be read: Input/output error"
    ):
        states.load(path, SHAPES)
