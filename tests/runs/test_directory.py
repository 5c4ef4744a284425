import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import lstmega
from lstmega.errors import RunError
from lstmega.runs import directory, report
from lstmega.runs.run import GeneratorRun
from tests.conftest import TINY


@pytest.fixture
def closed(tiny_run, monkeypatch):
    """A second run, which cannot be entered, even by root."""
    path = shutil.copytree(tiny_run.path, tiny_run.path.with_name("closed"))
    stat, opened = Path.stat, directory.reading.files.read

    def refused(where, *arguments, **options):
        if path in where.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(where))
        return stat(where, *arguments, **options)

    def refused_content(where, most):
        refused(where)
        return opened(where, most)

    monkeypatch.setattr(Path, "stat", refused)
    monkeypatch.setattr(directory.reading.files, "read", refused_content)
    return path


def test_a_run_that_cannot_be_entered_is_listed(tiny_run, closed):
    rows = {row["run"]: row["status"] for row in report.overview(closed.parent)}
    assert rows.keys() == {"owl", "closed"}
    assert "closed/run.json cannot be read: Permission denied" in rows["closed"]
    assert GeneratorRun.find(closed.parent).name == "owl"
    with pytest.raises(RunError, match="Permission denied"):
        GeneratorRun.find(closed.parent, "closed")


def test_a_finished_run_where_nothing_can_be_written(tiny_run, text, monkeypatch, capsys):
    def read_only(path):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(directory, "locked", read_only)
    corpus = lstmega.Corpus.from_text(text, name="owl")
    run = lstmega.train(corpus, checkpoints=tiny_run.path.parent, progress=True, **TINY)
    assert run.record.status == "finished"
    assert "is finished" in capsys.readouterr().err


HOLD = """
import sys
from pathlib import Path
from lstmega.runs import directory
directory.fcntl = None
with directory.locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


class NoLocks:
    LOCK_EX = LOCK_NB = 0

    @staticmethod
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the start of a process is not known")
@pytest.mark.parametrize("locks", [None, NoLocks])
def test_a_second_training_is_refused_without_locks_of_the_system(tmp_path, monkeypatch, locks):
    monkeypatch.setattr(directory, "fcntl", locks)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path / "a")], **pipes) as other:
        assert other.stdout.readline() == "locked\n"
        with (
            pytest.raises(RunError, match=f"process {other.pid}"),
            directory.locked(tmp_path / "a"),
        ):
            pass
        other.kill()
    with directory.locked(tmp_path / "a"):  # the lock of a dead process is nobody's
        pass


def test_a_number_that_another_process_has_now_is_not_the_holder(tmp_path, monkeypatch):
    monkeypatch.setattr(directory, "fcntl", None)
    (tmp_path / ".lock").write_text("1 12345678901\n")
    with directory.locked(tmp_path):
        pass


def test_a_directory_in_which_nothing_was_written_is_removed(tmp_path):
    with pytest.raises(KeyError), directory.locked(tmp_path / "new"):
        raise KeyError
    assert not list(tmp_path.iterdir())
    (tmp_path / "old").mkdir()
    with pytest.raises(KeyError), directory.locked(tmp_path / "old"):
        raise KeyError
    with pytest.raises(KeyError), directory.locked(tmp_path / "begun"):
        (tmp_path / "begun/file").touch()
        raise KeyError
    assert {item.name for item in tmp_path.iterdir()} == {"old", "begun"}
