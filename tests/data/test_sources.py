"""What `--corpus` names, and every refusal of it, without opening what could hang."""

import io
import os
import socket
import sys
from pathlib import Path

import pytest

from lstmega.data import download as downloads
from lstmega.data import sources
from lstmega.data.corpus import read
from lstmega.errors import CorpusError
from lstmega.runs import directory


def refusal(*sources, **options) -> str:
    """Read, and return the message of the refusal, which has three parts."""
    with pytest.raises(CorpusError) as caught:
        read(list(sources), **options)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert "Received: " in message
    assert "Accepted: " in message
    return message


@pytest.fixture
def tree(tmp_path):
    """A function that writes files below a directory and returns it."""

    def make(**contents):
        for name, content in contents.items():
            path = tmp_path / "tree" / name.replace("__", "/").replace("_txt", ".txt")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return tmp_path / "tree"

    return make


class TestRefusals:
    def test_missing(self, tmp_path):
        path = tmp_path / "absent.txt"
        message = refusal(path)
        assert "No such file or directory" in message
        assert repr(str(path)) in message
        assert "nietzsche, tinyshakespeare, pydoc" in message

    def test_an_unknown_name(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert "Received: 'nietsche'" in refusal("nietsche")

    @pytest.mark.parametrize("sources", [[], [""], ["-", "-"]])
    def test_no_text(self, sources):
        assert "--corpus needs texts" in refusal(*sources)

    @pytest.mark.parametrize("name", ["a\0b", "x" * 300, "d/" * 3000])
    def test_impossible_paths(self, name):
        refusal(name)

    def test_below_a_file(self, tree):
        assert "No such file" in refusal(tree(a_txt="a") / "a.txt" / "b.txt")

    def test_dangling_link(self, tmp_path):
        (tmp_path / "link.txt").symlink_to("nowhere.txt")
        assert "a symbolic link to 'nowhere.txt', which does not exist" in refusal(tmp_path / "link.txt")

    def test_circular_link(self, tmp_path):
        (tmp_path / "link.txt").symlink_to("link.txt")
        assert "symbolic links" in refusal(tmp_path / "link.txt")

    def test_fifo(self, tmp_path):
        os.mkfifo(tmp_path / "fifo.txt")
        assert "a FIFO" in refusal(tmp_path / "fifo.txt")

    def test_socket(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)  # a socket's path must be short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("s")
            assert "a socket" in refusal("s")

    def test_device(self):
        assert "a character device" in refusal("/dev/zero")

    def test_not_permitted(self, tree, monkeypatch):
        def refuse(path):
            raise PermissionError(13, "Permission denied", str(path))

        path = tree(a_txt="a") / "a.txt"
        monkeypatch.setattr(Path, "read_bytes", refuse)
        assert "Permission denied" in refusal(path)

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
    def test_not_permitted_for_real(self, tree):
        directory = tree(a_txt="a")
        (directory / "a.txt").chmod(0)
        assert "Permission denied" in refusal(directory / "a.txt")

    def test_messages_are_safe_on_a_terminal(self, tmp_path):
        assert "\x1b" not in refusal(tmp_path / "\x1b[31m\udcff")


class TestDirectories:
    def test_are_read_sorted_and_below(self, tree):
        directory = tree(b_txt="b", a_txt="a", a__z_txt="z", c_md="no")
        text = read([directory])
        assert text.text == "z\na\nb"
        assert text.name == "tree"

    def test_hidden_files_are_skipped(self, tree):
        directory = tree(a_txt="a")
        for name in (".hidden.txt", ".tmp-1-x.txt", ".git/b.txt"):
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text("no")
        assert read([directory]).text == "a"

    def test_a_glob_chooses(self, tree):
        directory = tree(a_txt="a", d__b_txt="b", c_md="c")
        assert read([directory], glob="*.txt").text == "a"
        assert read([directory], glob="**/*.txt").text == "a\nb"
        assert read([directory], glob="*_md").text == "c"

    def test_a_dot_is_named_after_its_directory(self, tree, monkeypatch):
        monkeypatch.chdir(tree(a_txt="a"))
        assert read(["."]).name == "tree"

    def test_without_matches(self, tree):
        message = refusal(tree(a_md="a"))
        assert "No file to read" in message
        assert "'**/*.txt'" in message

    @pytest.mark.parametrize("glob", ["", "/etc/*"])
    def test_with_a_bad_glob(self, tree, glob):
        assert "--glob" in refusal(tree(a_txt="a"), glob=glob)

    def test_odd_matches_are_skipped_and_counted(self, tree):
        directory = tree(a_txt="a")
        os.mkfifo(directory / "b.txt")
        (directory / "c.txt").symlink_to("nowhere")
        (directory / "d.txt").mkdir()
        text = read([directory])
        assert text.text == "a"
        assert text.notes == ("tree: 2 matches skipped, no regular files.",)

    def test_unreadable_ones_are_said(self, tree, monkeypatch):
        directory = tree(a_txt="a", closed__b_md="b")
        closed = directory / "closed"

        def walk(top, onerror):
            onerror(PermissionError(13, "Permission denied", str(closed)))
            return iter(())

        monkeypatch.setattr(os, "walk", walk)
        assert read([directory]).notes == ("closed was skipped: Permission denied.",)
        assert "Permission denied" in refusal(closed)


class TestRuns:
    """Held-out texts and samples of runs are no training text."""

    @pytest.fixture
    def mixed(self, tree):
        return tree(
            a_txt="text",
            **{"checkpoints__x__run.json": "{}", "checkpoints__x__weights__y_txt": "two"},
            **{"checkpoints__x__held_out_txt": "held", "deep__er__z__run.json": "{}"},
            deep__er__z__samples_txt="sample",
            deep__er__b_txt="more",
        )

    def test_they_are_skipped_wherever_they_lie(self, mixed):
        corpus = read(mixed)
        assert corpus.text == "text\nmore"
        assert "tree: 3 files of 2 runs skipped." in corpus.notes[0]

    def test_a_run_that_is_named_is_read(self, mixed):
        corpus = read(mixed / "checkpoints" / "x")
        assert (corpus.text, corpus.notes) == ("held\ntwo", ())

    def test_a_directory_of_runs_has_nothing_to_read(self, mixed):
        assert "files of runs apart" in refusal(mixed / "checkpoints")

    def test_a_killed_beginning_is_a_run(self, tree):
        files = {"x__vocabulary.json": "{}", "x__held_out_txt": "held", "y__vocabulary.json": "{}"}
        assert read(tree(a_txt="a", y__b_txt="b", **files)).text == "a\nb"

    def test_the_files_have_the_names_that_runs_give_them(self):
        assert sources._RUNS == ((directory.RECORD,), (directory.VOCABULARY, directory.HELD_OUT))


class TestStandardInput:
    def test_is_a_dash(self):
        text = read(["-"], stdin=io.BytesIO(b"\xff\xfeo\0i\0"))
        assert (text.text, text.name, text.sources[0].path) == ("oi", "stdin", "-")
        assert text.notes == ("-: UTF-16 by its byte-order mark.",)

    def test_is_the_process_own_by_default(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"oi")))
        assert read(["-"]).text == "oi"

    def test_joins_with_files(self, tree):
        assert read(["-", tree(a_txt="a") / "a.txt"], stdin=io.BytesIO(b"b")).text == "b\na"

    def test_closed(self, monkeypatch):
        monkeypatch.setattr(sys, "stdin", None)
        assert "Bad file descriptor" in refusal("-")
        closed = io.BytesIO()
        closed.close()
        assert "closed file" in refusal("-", stdin=closed)

    def test_empty(self):
        assert "corpus is empty" in refusal("-", stdin=io.BytesIO(b""))


class TestNames:
    @pytest.mark.parametrize("name", ["mine", "mine.txt"])
    def test_are_looked_up_in_corpora(self, tmp_path, name):
        (tmp_path / "mine.txt").write_text("text")
        text = read([name], corpora=tmp_path)
        assert (text.text, text.name) == ("text", "mine")
        assert text.sources[0].path == str(tmp_path / "mine.txt")

    def test_come_after_paths(self, tmp_path, monkeypatch):
        (tmp_path / "corpora").mkdir()
        (tmp_path / "corpora" / "mine.txt").write_text("of corpora")
        (tmp_path / "mine").write_text("here")
        monkeypatch.chdir(tmp_path)
        assert read(["mine"]).text == "here"
        assert read(["mine.txt"]).text == "of corpora"

    def test_have_no_directory_part(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(downloads, "fetch", None)  # a call would be another error
        refusal("./nietzsche")
        refusal("corpora/nietzsche.txt")

    def test_a_fifo_in_corpora_is_refused(self, tmp_path):
        os.mkfifo(tmp_path / "mine.txt")
        assert "a FIFO" in refusal("mine", corpora=tmp_path)

    def test_pydoc_absent_from_this_python(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "pydoc_data", None)
        assert "this Python came without it" in refusal("pydoc", corpora=tmp_path)
