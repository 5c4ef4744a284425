"""What XLA compiled is used again, and nothing that could end a training reaches TensorFlow."""

import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from lstmega.nn import executables
from lstmega.nn.executables import Executables
from tests.processes import cold

NAME = "xla_compile_cache__1__2__XLA_CPU_JIT.pb"
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="nothing is kept on this system")


@pytest.fixture
def process(tmp_path):
    """A function that begins another process with the same directory of what is kept."""
    (tmp_path / "own").mkdir()

    def begin():
        own = tmp_path / "own" / str(len(list((tmp_path / "own").iterdir())))
        own.mkdir()
        return Executables(tmp_path / "root", own), own

    return begin


def compiled(process, name=NAME, content=b"code", conditions=("2.21", 2)):
    """Compile something in a process, and keep it."""
    found, own = process()
    found.reuse(*conditions)
    (own / name).write_bytes(content)
    found.keep()
    return found


def kept(tmp_path):
    return sorted(tmp_path.glob("root/*/*.pb.*"))


def offered(process, *conditions):
    """What the next process offers to TensorFlow."""
    found, own = process()
    found.reuse(*(conditions or ("2.21", 2)))
    content = {path.name: path.read_bytes() for path in own.iterdir()}
    found.close()
    own.mkdir()  # its number is taken
    return content


def test_the_next_process_has_what_the_last_one_compiled(process, tmp_path):
    compiled(process)
    before = {path: path.stat().st_ino for path in kept(tmp_path)}
    after, own = process()
    after.reuse("2.21", 2)
    assert (own / NAME).read_bytes() == b"code"
    after.keep()  # nothing is new
    assert {path: path.stat().st_ino for path in kept(tmp_path)} == before and len(before) == 1
    assert not own.exists()


def test_a_process_may_train_again(process, tmp_path):
    found, own = process()
    for number in (1, 2):
        found.reuse("2.21", 2)
        assert len(list(own.iterdir())) == number - 1
        (own / NAME.replace("1", str(number))).write_bytes(b"code")
        found.keep()
    assert len(kept(tmp_path)) == 2


@pytest.mark.parametrize("conditions", [("2.22", 2), ("2.21", 1), ()])
def test_under_other_conditions_nothing_is_used(process, conditions):
    compiled(process)
    found, own = process()
    found.reuse(*conditions)
    assert list(own.iterdir()) == []


def test_another_processor_has_its_own(process, monkeypatch):
    compiled(process)
    assert offered(process)
    described = executables.processor.fields() | {"model": "another"}
    monkeypatch.setattr(executables.processor, "fields", lambda: described)
    assert offered(process) == {}


@pytest.mark.parametrize("damage", [b"", b"codf", b"code "])
def test_damaged_files_are_removed(process, tmp_path, damage):
    compiled(process)
    kept(tmp_path)[0].write_bytes(damage)
    assert offered(process) == {}
    assert kept(tmp_path) == []


def test_two_processes_may_compile_the_same(process, tmp_path):
    (one, own), (other, others) = process(), process()
    for each, directory in ((one, own), (other, others)):
        each.reuse("2.21", 2)
        (directory / NAME).write_bytes(b"code")
    (others / NAME.replace("1", "3")).write_bytes(b"more")
    one.keep()
    other.keep()
    assert len(kept(tmp_path)) == 2


def test_what_was_not_used_for_longest_is_forgotten(process, tmp_path, monkeypatch):
    monkeypatch.setattr(executables, "_MOST", 10)
    for number in range(2):
        compiled(process, NAME.replace("1", f"{number}"), b"1234", conditions=(number,))
    for path in kept(tmp_path):
        os.utime(path, (int(path.name[19]),) * 2)
    offered(process, 0)  # a use
    compiled(process, NAME.replace("1", "2"), b"1234", conditions=(2,))
    assert sorted(path.name[19] for path in kept(tmp_path)) == ["0", "2"]


def test_a_fork_neither_copies_nor_keeps(process, tmp_path, monkeypatch):
    compiled(process)
    found, own = process()
    monkeypatch.setattr(os, "getpid", lambda: 1)
    found.reuse("2.21", 2)
    assert list(own.iterdir()) == []
    (own / NAME.replace("1", "3")).write_bytes(b"more")
    found.keep()
    found.close()
    assert own.exists() and len(kept(tmp_path)) == 1


@pytest.mark.parametrize("mode", [0o777, 0o770])
def test_code_that_others_can_write_is_not_loaded(process, tmp_path, mode):
    compiled(process)
    (directory,) = (tmp_path / "root").iterdir()
    directory.chmod(mode)
    assert offered(process) == {}
    compiled(process, NAME.replace("1", "3"))
    assert len(kept(tmp_path)) == 1


def test_code_of_another_user_is_not_loaded(process, monkeypatch):
    compiled(process)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert offered(process) == {}


@pytest.mark.parametrize("gone", ["own", "root"])
def test_directories_may_vanish(process, tmp_path, gone):
    compiled(process)
    found, own = process()
    found.reuse("2.21", 2)
    shutil.rmtree(own if gone == "own" else tmp_path / "root")
    own.mkdir(exist_ok=True)
    (own / NAME.replace("1", "3")).write_bytes(b"more")
    found.keep()
    assert len(kept(tmp_path)) == (2 if gone == "own" else 1)


def test_where_nothing_can_be_written_nothing_is_kept(process, tmp_path):
    (tmp_path / "root").write_text("a file")
    compiled(process)
    assert offered(process) == {}


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    """A process without TensorFlow, with its own temporary and home directories."""
    for name in ("home", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    for name in ("LSTMEGA_CACHE", "TF_XLA_FLAGS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    return tmp_path


def root_of(fresh):
    """Keep something, and return where it is below the temporary directory of a test."""
    with executables.opened() as found:
        own = Path(re.search(r"_directory=(\S+)", os.environ["TF_XLA_FLAGS"])[1])
    assert own.parent == fresh / "temporary"
    found.reuse()
    (own / NAME).write_bytes(b"code")
    found.keep()
    (path,) = fresh.rglob(f"{NAME}.*")
    return str(path.parents[1].relative_to(fresh))


@linux
def test_tensorflow_is_told_while_it_is_imported(fresh, monkeypatch):
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_clustering_debug")
    with executables.opened() as found:
        first, second, third = os.environ["TF_XLA_FLAGS"].split()
    assert first == os.environ["TF_XLA_FLAGS"] == "--tf_xla_clustering_debug"
    directory = Path(second.partition("=")[2])
    assert directory.parent == fresh / "temporary" and directory.is_dir()
    assert third.endswith("=CPU")
    found.close()
    assert not directory.exists() and list((fresh / "home").iterdir()) == []


@linux
@pytest.mark.parametrize(
    ("variables", "root"),
    [
        ({}, "home/.cache/lstmega/xla"),
        ({"XDG_CACHE_HOME": "relative"}, "home/.cache/lstmega/xla"),
        ({"XDG_CACHE_HOME": "{}/caches"}, "caches/lstmega/xla"),
        ({"XDG_CACHE_HOME": "{}/caches", "LSTMEGA_CACHE": "{}/mine"}, "mine/xla"),
    ],
    ids=["home", "no relative one", "caches", "ours"],
)
def test_where_it_is_kept(fresh, monkeypatch, variables, root):
    for name, value in variables.items():
        monkeypatch.setenv(name, value.format(fresh))
    assert root_of(fresh) == root
    assert "TF_XLA_FLAGS" not in os.environ


@pytest.mark.parametrize(
    "variables",
    [
        {"LSTMEGA_CACHE": ""},
        {"TF_XLA_FLAGS": "--tf_xla_persistent_cache_directory=mine"},
        {"TF_XLA_FLAGS": "flags.txt"},
    ],
    ids=["off", "the user's own", "a file of flags"],
)
def test_nothing_is_kept(fresh, monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    before = dict(os.environ)
    with executables.opened() as found:
        assert os.environ == before
    assert found is None and list((fresh / "temporary").iterdir()) == []


def test_nothing_is_kept_after_tensorflow(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with executables.opened() as found:
        assert found is None


@pytest.mark.parametrize("trouble", ["a full disk", "no directory", "a name that TensorFlow splits"])
def test_nothing_is_kept_without_a_place(fresh, monkeypatch, trouble):
    place = fresh / ("with space" if "splits" in trouble else "temporary")
    if trouble == "no directory":
        place.rmdir()
    else:
        place.mkdir(exist_ok=True)
    if trouble == "a full disk":
        monkeypatch.setattr(executables, "_FREE", 1 << 80)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
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
        files = {path.name: path.stat().st_ino for path in tmp_path.glob("cache/xla/*/*.pb.*")}
        found[run] = sorted(
            path.read_bytes() for path in (tmp_path / "checkpoints" / run).glob("weights/*")
        )
        if run == "first":
            first = files
        elif run == "second":
            assert first and files == first  # nothing was compiled
    assert all(weights == found["first"] for weights in found.values())
    assert {name.partition(".")[0] for name in files} == {name.partition(".")[0] for name in first}
