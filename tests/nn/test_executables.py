"""What XLA compiled is used again, and nothing that could end a training reaches TensorFlow."""

import os
import sys
from pathlib import Path

import pytest

from lstmega.nn import executables
from lstmega.nn.executables import Executables
from tests.processes import cold

NAME = "xla_compile_cache__1__2__XLA_CPU_JIT.pb"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="nothing is kept on this system")


@pytest.fixture
def process(tmp_path):
    """A function that begins another process on the same directory."""

    def begin():
        own = tmp_path / f"process-{len(list(tmp_path.iterdir()))}"
        own.mkdir()
        return Executables(tmp_path, own), own

    return begin


def compiled(process, name=NAME, content=b"code", conditions=("2.21", 2)):
    """Compile something in a process, and keep it."""
    found, own = process()
    found.reuse(*conditions)
    (own / name).write_bytes(content)
    found.keep()
    return found


def kept(tmp_path):
    return sorted(tmp_path.glob("*/*.pb.*"))


def test_the_next_process_has_what_the_last_one_compiled(process, tmp_path):
    compiled(process).close()
    after, own = process()
    after.reuse("2.21", 2)
    assert (own / NAME).read_bytes() == b"code"
    after.keep()  # nothing is new
    assert len(kept(tmp_path)) == 1


@pytest.mark.parametrize("conditions", [("2.22", 2), ("2.21", 1), ()])
def test_under_other_conditions_nothing_is_used(process, conditions):
    compiled(process)
    other, own = process()
    other.reuse(*conditions)
    assert list(own.iterdir()) == []


def test_another_processor_has_its_own(process, monkeypatch):
    compiled(process)
    monkeypatch.setattr(executables.processor, "instructions", lambda: {"avx2"})
    other, own = process()
    other.reuse("2.21", 2)
    assert list(own.iterdir()) == []


@pytest.mark.parametrize("damage", [b"", b"codf", b"code "])
def test_damaged_files_are_removed(process, tmp_path, damage):
    compiled(process)
    kept(tmp_path)[0].write_bytes(damage)
    after, own = process()
    after.reuse("2.21", 2)
    assert list(own.iterdir()) == kept(tmp_path) == []


def test_two_processes_may_compile_the_same(process, tmp_path):
    (one, own), (other, others) = process(), process()
    for each, directory in ((one, own), (other, others)):
        each.reuse("2.21", 2)
        (directory / NAME).write_bytes(b"code")
    (others / NAME.replace("1", "3")).write_bytes(b"more")
    one.keep()
    other.keep()
    assert len(kept(tmp_path)) == 2


def test_the_oldest_are_forgotten(process, tmp_path, monkeypatch):
    monkeypatch.setattr(executables, "_MOST", 10)
    for number in range(4):
        compiled(process, NAME.replace("1", f"{number}"), b"1234", conditions=(number % 2,))
        newest = max(kept(tmp_path), key=lambda path: path.stat().st_mtime_ns)
        os.utime(newest, ns=(number, number))
    assert [path.name[19] for path in sorted(kept(tmp_path), key=os.path.getmtime)] == ["2", "3"]


def test_a_fork_leaves_the_directory(process, monkeypatch):
    found, own = process()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    found.close()
    assert own.exists()


@pytest.mark.parametrize("gone", ["own", "kept"])
def test_directories_may_vanish(process, tmp_path, gone):
    found, own = process()
    found.reuse("2.21", 2)
    for path in [own] if gone == "own" else kept(tmp_path):
        path.rmdir()
    found.keep()
    found.reuse("2.21", 2)
    found.close()
    assert not own.exists()


@linux
def test_tensorflow_is_told_while_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.setenv("LSTMEGA_CACHE", str(tmp_path))
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    killed = tmp_path / "xla" / "process-4194305-abc"  # no process has so large a number
    killed.mkdir(parents=True)
    with executables.opened() as found:
        first, second = os.environ["TF_XLA_FLAGS"].split()
    assert first == os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug"
    directory = Path(second.partition("=")[2])
    assert directory.parent == tmp_path / "xla" and directory.is_dir() and not killed.exists()
    found.close()
    assert not directory.exists()


@linux
def test_the_home_is_where_caches_are(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for name in ("LSTMEGA_CACHE", "TF_XLA_FLAGS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with executables.opened() as found:
        (directory,) = tmp_path.glob(".cache/lstmega/xla/process-*")
        assert os.environ["TF_XLA_FLAGS"].endswith(str(directory))
    assert "TF_XLA_FLAGS" not in os.environ
    found.close()


def a_file(directory):
    (directory / "file").write_text("")
    return str(directory / "file")


@pytest.mark.parametrize(
    ("place", "flags"),
    [
        (lambda _: "", ""),
        (a_file, ""),
        (lambda directory: str(directory / "with space"), ""),
        (str, "--tf_xla_persistent_cache_directory=mine"),
    ],
    ids=["off", "not a directory", "a name that is split", "the user's own"],
)
def test_nothing_is_kept(tmp_path, monkeypatch, place, flags):
    monkeypatch.setenv("LSTMEGA_CACHE", place(tmp_path))
    monkeypatch.setenv("TF_XLA_FLAGS", flags)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    with executables.opened() as found:
        assert os.environ["TF_XLA_FLAGS"] == flags
    assert found is None


def test_nothing_is_kept_after_tensorflow(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTMEGA_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with executables.opened() as found:
        assert found is None


def test_nothing_is_kept_on_a_full_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("LSTMEGA_CACHE", str(tmp_path))
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    monkeypatch.setattr(executables, "_FREE", 1 << 80)
    with executables.opened() as found:
        assert found is None


@linux
@pytest.mark.slow
def test_a_training_is_the_same(tmp_path, text):
    """With nothing kept, with what the first one kept, with damage in it, and without any cache."""
    (tmp_path / "text.txt").write_text(text * 3)
    options = ["--steps", "500", "--units", "8", "--batch-size", "4", "--sequence-length", "16"]
    places = {"first": "cache", "second": "cache", "damaged": "cache", "without": ""}
    found = {}
    for run, cache in places.items():
        if run == "damaged":
            for path in tmp_path.glob("cache/xla/*/*.pb.*"):
                path.write_bytes(path.read_bytes()[:1000])
        arguments = ["train", "--corpus", "text.txt", "--run", run, *options]
        given = str(tmp_path / cache) if cache else ""
        done = cold(*arguments, cwd=tmp_path, LSTMEGA_CACHE=given)
        assert done.returncode == 0, done.stderr
        files = {path.name: path.stat().st_mtime_ns for path in tmp_path.glob("cache/xla/*/*.pb.*")}
        found[run] = sorted(
            path.read_bytes() for path in (tmp_path / "checkpoints" / run).glob("weights/*")
        )
        if run == "first":
            first = files
        elif run == "second":
            assert first and files == first  # nothing was compiled
    assert all(weights == found["first"] for weights in found.values())
    assert {name.partition(".")[0] for name in files} == {name.partition(".")[0] for name in first}
    assert not list(tmp_path.glob("cache/xla/process-*"))
