import os
import subprocess
import sys

import pytest

from lstmega.errors import UsageError
from lstmega.nn import devices


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=False,
    )


def test_quiet_hides_what_a_library_writes(capfd):
    with devices.quiet():
        os.write(2, b"noise")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(("debug", "shown"), [("1", "the reason"), ("", "")])
def test_quiet_tells_on_request_why_the_block_fails(capfd, monkeypatch, debug, shown):
    monkeypatch.setenv("LSTMEGA_DEBUG", debug)
    with pytest.raises(RuntimeError), devices.quiet():
        os.write(2, b"the reason")
        raise RuntimeError
    assert capfd.readouterr().err == shown


def test_import_and_first_operation_are_silent():
    done = python("from lstmega.nn.devices import tf; tf.zeros(3) + 1; print('ok')")
    assert (done.stdout, done.stderr) == ("ok\n", "")


def test_another_keras_backend_is_refused():
    done = python("import lstmega.nn.devices", KERAS_BACKEND="jax")
    assert "KERAS_BACKEND=jax" in done.stderr


def test_cpu():
    device = devices.choose("cpu")
    assert (device.kind, device.replicas) == ("cpu", 1)
    assert str(device) == f"CPU, {device.threads} thread{'s' if device.threads > 1 else ''}"


@pytest.mark.skipif(bool(devices.tf.config.list_physical_devices("GPU")), reason="there is a GPU")
def test_no_gpu_is_said():
    with pytest.raises(UsageError, match="finds no GPU"):
        devices.choose("gpu")
    assert devices.choose("auto").kind == "cpu"


def test_threads_must_be_set_in_a_fresh_process():
    devices.tf.zeros(3) + 1
    with pytest.raises(UsageError, match="--threads 77"):
        devices.choose("cpu", threads=77)


def test_threads():
    done = python("from lstmega.nn import devices; print(devices.choose('cpu', threads=1))")
    assert done.stdout == "CPU, 1 thread\n"


def test_cpu_hides_the_gpus(monkeypatch):
    hidden = []
    monkeypatch.setattr(
        devices.tf.config, "set_visible_devices", lambda *arguments: hidden.append(arguments)
    )
    devices.choose("cpu")
    assert hidden == [([], "GPU")]


def test_cpu_after_a_gpu_needs_a_fresh_process(monkeypatch):
    def refuse(*_):
        raise RuntimeError("Visible devices cannot be modified after being initialized")

    monkeypatch.setattr(devices.tf.config, "set_visible_devices", refuse)
    with pytest.raises(UsageError, match="started with a GPU"):
        devices.choose("cpu")
