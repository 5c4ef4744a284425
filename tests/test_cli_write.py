"""The command `write` through a pseudo-terminal and through pipes."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

WRITE = [sys.executable, "-m", "lstmega", "write", "--run", "owl", "--prompt", "the ", "--seed", "1"]


@pytest.fixture
def place(tiny_run):
    return tiny_run.path.parents[1]


def piped(place, said, *more):
    return subprocess.run(
        [*WRITE, *more], cwd=place, input=said, capture_output=True, text=True, timeout=60, check=False
    )


class Terminal:
    """A person at a terminal; the result goes to a file."""

    def __init__(self, place):
        ours, theirs = pty.openpty()
        self._result = place / "text.txt"
        with self._result.open("w") as stdout:
            self.process = subprocess.Popen(
                WRITE, cwd=place, stdin=theirs, stdout=stdout, stderr=theirs, start_new_session=True
            )
        os.close(theirs)
        self._ours, self.seen = ours, ""

    def until(self, words):
        """Read until something is shown."""
        deadline, begin = time.monotonic() + 60, len(self.seen)
        while words not in self.seen[begin:]:
            assert time.monotonic() < deadline, self.seen
            if select.select([self._ours], [], [], 1)[0]:
                with contextlib.suppress(OSError):  # Linux says so at the end
                    self.seen += os.read(self._ours, 4096).decode()
        return self.seen[begin:]

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
    person.until("> ")
    person.type("owl sat\n")
    assert "the owl sat" in person.until("> ")
    person.type("/quit\n")
    assert person.result() == (0, "the owl sat\n")


@pytest.mark.slow
def test_ctrl_c_keeps_the_text(person):
    person.until("> ")
    person.type("owl\n")
    person.until("> ")
    person.process.send_signal(signal.SIGINT)
    assert person.result() == (130, "the owl\n")


@pytest.mark.slow
def test_ctrl_d_ends(person):
    person.until("> ")
    person.type("\x04")
    assert person.result() == (0, "the \n")


def test_through_pipes_the_text_is_on_stdout(place):
    done = piped(place, "owl\n at\\nnight\n/undo\n/redo\n/cut 5\n", "--output", "kept.txt")
    assert (done.returncode, done.stdout) == (0, "the owl at\n\n")
    assert (place / "kept.txt").read_text() == "the owl at\n"


def test_mistakes_are_told_and_the_session_goes_on(place):
    done = piped(place, "/foo\n9\n/cut x\n/length 0\n/temps hot\n\u00c9\n/save\n/help\n/show\nowl\n")
    for said in (
        "A command must be one of: /undo",
        "There are 3 proposals. Received: 9",
        "/cut needs a whole number",
        "The length of a proposal must be",
        "--temps has 'hot'",
        "U+00C9",
        "/save needs the name",
        "take that proposal",
    ):
        assert said in done.stderr
    assert (done.returncode, done.stdout) == (0, "the owl\n")


def test_wrong_use_is_told_before_anything(place):
    for arguments, said in (
        (["--length", "0"], "length of a proposal must"),
        (["--prompt", "-"], "--prompt"),
    ):
        done = piped(place, "", *arguments)
        assert done.returncode == 2
        assert said in done.stderr
