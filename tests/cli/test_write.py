"""The command `write` through a pseudo-terminal and through pipes."""

import codecs
import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

from tests.processes import lstmega

WRITE = [sys.executable, "-m", "lstmega", "write", "--run", "owl", "--prompt", "the ", "--seed", "1"]


@pytest.fixture
def place(tiny_run):
    return tiny_run.path.parents[1]


def piped(place, said, *more):
    return lstmega(*WRITE[3:], *more, cwd=place, stdin=said)


class Terminal:
    """A person at a terminal; the result goes to a file, or to the terminal too."""

    def __init__(self, place, *more, to_file=True):
        ours, theirs = pty.openpty()
        self._result = place / "text.txt"
        with self._result.open("w") as stdout:
            self.process = subprocess.Popen(
                [*WRITE, *more],
                cwd=place,
                stdin=theirs,
                stdout=stdout if to_file else theirs,
                stderr=theirs,
                start_new_session=True,
                env=os.environ | {"TERM": "dumb", "INPUTRC": os.devnull},
            )
        os.close(theirs)
        self._ours, self.seen, self._heard = ours, "", 0
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def until(self, words):
        """Return what is shown up to these words; what came with them is left for the next call."""
        deadline, begin = time.monotonic() + 60, self._heard
        while (at := self.seen.find(words, begin)) < 0:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._ours], [], [], 1)[0]:
                with contextlib.suppress(OSError):  # Linux says so at the end
                    self.seen += self._decode(os.read(self._ours, 4096))
        self._heard = at + len(words)
        return self.seen[begin : self._heard]

    def type(self, words):
        os.write(self._ours, words.encode())

    def result(self):
        code = self.process.wait(60)
        return code, self._result.read_text()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self._ours)


@pytest.fixture
def person(place):
    with contextlib.closing(Terminal(place)) as person:
        yield person


def proposal(shown, number):
    """Return a numbered proposal, as it is shown."""
    (line,) = [line for line in shown.splitlines() if line.startswith(f"  {number}  ")]
    return line[10:]


@pytest.mark.slow
def test_a_session_at_a_terminal(person):
    first = person.until("> ")
    assert "seed 1" in first
    person.type("2\n")
    second = person.until("> ")
    picked = proposal(first, 2)
    assert f"the {picked}".rstrip() in second.replace("\r", "")
    person.type("/undo\n")
    back = person.until("> ")
    assert [proposal(back, number) for number in (1, 2)] == [
        proposal(first, number) for number in (1, 2)
    ]
    person.type("owl sat\n")
    assert "the owl sat" in person.until("> ")
    person.type("/quit\n")
    assert person.result() == (0, "the owl sat")


@pytest.mark.slow
def test_a_line_is_edited_where_readline_is(place):
    pytest.importorskip("readline")
    with contextlib.closing(Terminal(place, "--unknown", "skip", to_file=False)) as person:
        person.until("> ")
        person.type("owl\\nsat\\\\on\n")
        person.until("> ")
        person.type("/edit\n")
        person.until("> sat\\\\on")  # the last line, as it would be typed
        person.type("\x7f\x7fin\n")
        person.until("sat\\in")
        person.until("> ")
        person.type("/quit\n")
        assert "the owl\nsat\\in\n" in person.until("sat\\in\r\n").replace("\r", "")
        assert person.result()[0] == 0


@pytest.mark.slow
def test_a_terminal_is_safe_from_the_text(place):
    with contextlib.closing(
        Terminal(place, "--unknown", "skip", "--prompt", "the \x1b]0;x\x07", to_file=False)
    ) as person:
        person.until("> ")
        person.type("/quit\n")
        assert person.result()[0] == 0
        assert person.until("the \\x1b]0;x\\x07\r\n")
        assert "\x1b]0" not in person.seen


@pytest.mark.slow
def test_ctrl_c_keeps_the_text(person):
    person.until("> ")
    person.type("owl\n")
    person.until("> ")
    time.sleep(0.5)  # until it waits: a signal just before that is seen at the next line only
    person.process.send_signal(signal.SIGINT)
    assert person.result() == (130, "the owl")


@pytest.mark.slow
def test_ctrl_d_ends(person):
    person.until("> ")
    person.type("\x04")
    assert person.result() == (0, "the ")


def test_through_pipes_the_text_is_on_stdout(place):
    done = piped(place, "owl\n at\\nnight\n/undo\n/redo\n/cut 5\n", "--output", "kept.txt")
    assert (done.returncode, done.stdout) == (0, "the owl at\n")
    assert (place / "kept.txt").read_text() == "the owl at\n"


def test_a_kept_text_goes_on_another_day(place):
    piped(place, "owl\n", "--output", "kept.txt")
    begin = [part for part in WRITE if part not in ("--prompt", "the ")]
    done = subprocess.run(
        [*begin, "--output", "kept.txt"],
        cwd=place,
        input=" sat\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "the owl sat")
    assert (place / "kept.txt").read_text() == "the owl sat"
    done = piped(place, "owl\n", "--output", "kept.txt")
    assert (done.returncode, (place / "kept.txt").read_text()) == (2, "the owl sat")
    assert "a --prompt" in done.stderr


def test_what_else_can_be_typed(place):
    said = "owl\n/add \\n\n/edit sat\n/add , 2\n/again\n/temps 0.5\n/count 2\n/length 5\n"
    done = piped(place, said + "/edit\n/save other.txt\n", "--unknown", "skip")
    assert len(re.findall(r"^  \d  0\.5  .{1,5}$", done.stderr.split("> ")[-4], re.MULTILINE)) == 2
    assert "/edit needs the new last line. Received: none. The last line now: sat, 2" in done.stderr
    assert done.stdout == "the owl\nsat, 2" == (place / "other.txt").read_text()


def test_the_same_steps_give_the_same_text(place):
    said = "1\n\n2\n/undo\n/again\n3\n"
    first, again = piped(place, said), piped(place, said)
    assert first.stdout == again.stdout
    assert len(first.stdout) > len("the ")
    assert (
        piped(place, said.replace("\n\n", "\n")).stdout != first.stdout
    )  # other proposals were asked for


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "2> >(head -c 1 > /dev/null)"])
def test_no_stream_is_needed_to_keep_the_text(place, closed):
    done = subprocess.run(
        ["bash", "-c", f'{{ echo owl; sleep 1; echo " sat"; }} | {{ "$@" {closed}; }}', "bash", *WRITE],
        cwd=place,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert (done.returncode, done.stdout) == (0, "the " if closed == "<&-" else "the owl sat")


def test_mistakes_are_told_and_the_session_goes_on(place):
    done = piped(place, "/foo\n9\n/cut x\n/length 0\n/temps hot\n\u00c9\n/save\n/help\n/show\nowl\n")
    for said in (
        "A command must be one of: /add",
        "There are 3 proposals. Received: 9",
        "/cut needs a whole number",
        "The --length of a proposal must be",
        "--temps has 'hot'",
        "U+00C9",
        "/save needs the name",
        "take the proposal",
    ):
        assert said in done.stderr
    assert (done.returncode, done.stdout) == (0, "the owl")


def test_odd_lines_end_no_session(place):
    odd = (b"\xff", b"1" * 5000, b"/cut " + b"9" * 5000, "/length ٣".encode(), b"/save .", b"\0")
    done = subprocess.run(
        WRITE,
        cwd=place,
        input=b"\n".join((*odd, b"owl", b"")),
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"},
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"the owl"), done.stderr
    assert b"A line must be UTF-8. Received: b'\\xff" in done.stderr
    assert b"/cut needs a whole number" in done.stderr


def test_a_file_that_fails_later_does_not_end_the_session(place):
    there = place / "there"
    there.mkdir()
    process = subprocess.Popen(
        [*WRITE, "--output", "there/kept.txt"],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while not (there / "kept.txt").exists() or list(there.glob(".tmp*")):
        assert process.poll() is None
        time.sleep(0.01)
    there.rename(place / "elsewhere")
    stdout, stderr = process.communicate(b"owl\n1\n", timeout=60)
    assert process.returncode == 0
    assert stdout.startswith(b"the owl")
    assert len(stdout) > len("the owl")  # proposals were still made
    assert b"The text could not be saved: The file of a text must be" in stderr


def test_wrong_use_is_told_before_anything(place):
    for arguments, said in (
        (["--length", "0"], "length of a proposal must"),
        (["--prompt", "-"], "--prompt"),
        (["--output", "nowhere/text.txt"], "--output must be a file"),
    ):
        done = piped(place, "", *arguments)
        assert done.returncode == 2
        assert said in done.stderr


def test_a_kept_file_keeps_its_mode(place):
    (place / "kept.txt").write_text("the ")
    (place / "kept.txt").chmod(0o600)
    done = lstmega("write", "--output", "kept.txt", cwd=place, stdin="owl\n")
    assert done.returncode == 0, done.stderr
    assert (place / "kept.txt").read_text() == "the owl"
    assert (place / "kept.txt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["", "checkpoints", "no/a.txt", "x" * 300])
def test_an_output_that_cannot_be_is_refused_before_the_work(place, name):
    done = lstmega("write", "--output", name, "--run", "nobody", cwd=place)
    assert (done.returncode, done.stdout) == (2, "")
    assert "--output must be a file" in done.stderr
