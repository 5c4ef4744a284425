"""Files that are whole or absent, whatever kills the writer."""

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lstmega import files
from lstmega.errors import UsageError


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_write_replaces(tmp_path):
    path = tmp_path / "run.json"
    files.write(path, b"old")
    files.write(path, b"new")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["run.json"]


def test_the_final_name_appears_at_the_end(tmp_path):
    path = tmp_path / "a"
    with files.replacing(path) as temporary:
        temporary.write_bytes(b"half")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.startswith(files.TEMPORARY_PREFIX)
    assert path.read_bytes() == b"half"


def test_the_temporary_name_keeps_the_ending(tmp_path):
    with files.replacing(tmp_path / "a.weights.h5") as temporary:
        assert temporary.name.endswith(".weights.h5")
        temporary.write_bytes(b"x")
    assert (tmp_path / "a.weights.h5").read_bytes() == b"x"


def test_a_directory_appears_whole(tmp_path):
    with files.replacing(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "x").write_bytes(b"x")
        assert not (tmp_path / "a").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a/x").read_bytes() == b"x"


def test_a_directory_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="x"), files.replacing(tmp_path / "a") as temporary:
        temporary.mkdir()
        (temporary / "x").write_bytes(b"x")
        raise ValueError("x")
    assert not list(tmp_path.iterdir())


def test_read_takes_regular_files_up_to_a_size(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"four")
    assert files.read(path, 4) == b"four"
    with pytest.raises(OSError, match="larger than it can be"):
        files.read(path, 3)
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    for odd in ("link", "pipe", ".", "missing"):
        with pytest.raises(OSError):
            files.read(tmp_path / odd, 4)


@pytest.mark.parametrize("error", [ValueError, OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_keeps_what_was_there(tmp_path, error):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def fail():
        with files.replacing(path) as temporary:
            temporary.write_bytes(b"half")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_writer_that_writes_nothing_fails(tmp_path):
    with pytest.raises(FileNotFoundError), files.replacing(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def test_a_full_disk_keeps_what_was_there(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def refuse(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        files.write(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_the_bytes_reach_the_disk_before_the_name(tmp_path, monkeypatch):
    calls = []
    sync, replace = files.sync, Path.replace
    monkeypatch.setattr(files, "sync", lambda path: (calls.append(path), sync(path)))
    monkeypatch.setattr(Path, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))
    files.write(tmp_path / "a", b"x")
    assert calls[0].name.startswith(files.TEMPORARY_PREFIX)
    assert calls[1:] == ["rename", tmp_path]


def test_a_killed_writer_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    script = (
        "import os, signal, sys; from pathlib import Path; from lstmega import files\n"
        "with files.replacing(Path(sys.argv[1])) as temporary:\n"
        "    temporary.write_bytes(b'half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)])
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert len(names(tmp_path)) == 2
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == ["a"]


def test_only_leftovers_are_removed(tmp_path):
    for name in ("a", ".hidden", ".tmp-7-a"):
        (tmp_path / name).touch()
    files.remove_leftovers(tmp_path)
    assert names(tmp_path) == [".hidden", "a"]


def test_sha256(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_replaced_file_keeps_its_mode_and_owner(tmp_path, monkeypatch):
    path, owners = tmp_path / "a", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    monkeypatch.setattr(os, "chown", lambda _, user, group: owners.append((user, group)))
    files.write(path, b"new")
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o600)
    assert owners == [(path.stat().st_uid, path.stat().st_gid)]


def test_the_new_content_is_secret_before_it_has_its_name(tmp_path, monkeypatch):
    path, modes = tmp_path / "a", []
    path.write_bytes(b"old")
    path.chmod(0o600)
    wrote = Path.write_bytes
    monkeypatch.setattr(
        Path, "write_bytes", lambda at, new: (wrote(at, new), modes.append(at.stat().st_mode & 0o777))
    )
    files.write(path, b"new")
    assert modes == [0o600]


def test_a_name_as_long_as_a_file_system_takes(tmp_path):
    path = tmp_path / ("é" * 127)
    files.write(path, b"x")
    assert path.read_bytes() == b"x"


def test_an_error_names_the_file_and_not_the_temporary(tmp_path):
    with pytest.raises(OSError) as caught:
        files.write(tmp_path / "no" / "a", b"x")
    assert caught.value.filename == str(tmp_path / "no" / "a")


# Files that the user names.

MARK = b"<page>"


def output(path, **how):
    return files.Output(path, "--html", MARK, **how)


def test_an_output_replaces_its_own_an_empty_file_or_nothing(tmp_path):
    path = tmp_path / "a"
    output(path).write(MARK + b"1")
    output(path).write(MARK + b"2")
    path.write_bytes(b"")
    output(path).write(MARK + b"3")
    assert path.read_bytes() == MARK + b"3"


@pytest.mark.parametrize("content", [b"a text", b"<pag", b" <page>", b"\0"])
def test_an_output_refuses_other_content_unless_forced(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    for act in (output(path).check, lambda: output(path).write(MARK)):
        with pytest.raises(UsageError, match=r"--html replaces only.*Received: .*Accepted: .*--force"):
            act()
    assert path.read_bytes() == content
    output(path, force=True).write(MARK)
    assert path.read_bytes() == MARK


def test_an_output_follows_links(tmp_path):
    (tmp_path / "link").symlink_to("target")
    output(tmp_path / "link").write(MARK)
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == MARK
    (tmp_path / "target").write_bytes(b"other")
    with pytest.raises(UsageError, match="replaces only"):
        output(tmp_path / "link").check()


def test_an_output_is_written_into_a_pipe(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    output(path).check()
    output(path).write(MARK)
    assert os.read(reader, 99) == MARK
    os.close(reader)
    assert path.is_fifo()


def test_an_output_is_written_to_a_terminal(tmp_path):
    ours, theirs = os.openpty()
    output(os.ttyname(theirs)).write(MARK)
    assert os.read(ours, 99) == MARK
    os.close(ours)
    os.close(theirs)


def test_a_line_is_standard_output(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert output("-").to_stdout
    output("-").write(MARK)
    sys.stdout.flush()
    assert capfd.readouterr().out == MARK.decode()
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["", "/", ".", "no/such/a", "a\0b", "x" * 300, "file/a", "loop"])
def test_an_output_that_cannot_be_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match=r"--html must be .*Received: .*Accepted: "):
        output(name, force=True).check()


def test_an_output_without_permission_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / "a")  # root may everything
    with pytest.raises(UsageError, match="Permission denied"):
        output(tmp_path / "a").check()
    output(tmp_path / "b").check()
