"""Start `python -m lstmega ...` as a process of its own without importing TensorFlow again.

The first call starts a server: a process that imports the package and TensorFlow and computes nothing,
so that it may fork. Each command is a fork of it, a process of its own with a working directory, streams
and signals, which a test can kill. `cold` starts the interpreter instead, as a user does.
"""

import atexit
import functools
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
_NUMBER = struct.Struct("=q")  # a process number, then an exit status


class Process:
    """A running command, with the part of `subprocess.Popen` that tests use.

    Args:
        arguments: What follows `lstmega`.
        cwd: The working directory.
        stdin, stdout, stderr: Files or descriptors (default: an empty input, temporary files).
        before: A function of a module, called in the child before the command.
    """

    def __init__(self, *arguments, cwd, stdin=None, stdout=None, stderr=None, before=None):
        self._out, self._err = tempfile.TemporaryFile(), tempfile.TemporaryFile()  # noqa: SIM115
        self.returncode = None
        request = {
            "arguments": [str(argument) for argument in arguments],
            "cwd": str(cwd),
            "before": pickle.dumps(before).hex(),
        }
        with Path(os.devnull).open("rb") as nothing:
            streams = [stdin or nothing, stdout or self._out, stderr or self._err]
            self._line = socket.socket(socket.AF_UNIX)
            self._line.connect(_server())
            descriptors = [s if isinstance(s, int) else s.fileno() for s in streams]
            socket.send_fds(self._line, [json.dumps(request).encode()], descriptors)
            self.pid = self._answer()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            self.kill()
        self.wait()
        for file in (self._line, self._out, self._err):
            file.close()

    def _answer(self):
        answer = self._line.recv(_NUMBER.size, socket.MSG_WAITALL)
        assert answer, "the server of processes is gone"
        return _NUMBER.unpack(answer)[0]

    def poll(self):
        """Return the exit status, or None while the command runs."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def wait(self, timeout=None):
        """Return the exit status, or minus the number of the signal that killed the command."""
        if self.returncode is None:
            self._line.settimeout(timeout)
            try:
                self.returncode = os.waitstatus_to_exitcode(self._answer())
            except (TimeoutError, BlockingIOError) as error:
                raise subprocess.TimeoutExpired("lstmega", timeout) from error
        return self.returncode

    def communicate(self, timeout=None):
        """Wait, and return (stdout, stderr) as text."""
        self.wait(timeout)
        return self.read(self._out), self.read(self._err)

    def read(self, file):
        file.seek(0)
        return file.read().decode()

    def errors(self):
        """Return what is on stderr so far."""
        return self.read(self._err)

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def cold(*arguments, cwd, **environment):
    """Run a command to its end in a new interpreter, with variables of its own."""
    return subprocess.run(
        [sys.executable, "-m", "lstmega", *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        env=os.environ | environment,
        timeout=120,
    )


def lstmega(*arguments, cwd, stdin="", timeout=120, before=None):
    """Run a command to its end, as `subprocess.run` with captured text does."""
    with tempfile.TemporaryFile() as file:
        file.write(stdin.encode())
        file.seek(0)
        with Process(*arguments, cwd=cwd, stdin=file, before=before) as process:
            out, err = process.communicate(timeout)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


@functools.cache
def _server():
    """Start the server of this process, once, and return the path of its socket."""
    place = tempfile.TemporaryDirectory(prefix="lstmega-")
    path = f"{place.name}/socket"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(100)
    code = f"from tests import processes; processes.serve({listener.fileno()})"
    server = subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, pass_fds=[listener.fileno()], process_group=0
    )
    listener.close()

    def end():
        server.kill()
        server.wait()
        place.cleanup()

    atexit.register(end)
    return path


def serve(descriptor):
    """Import what a training needs, then fork a process for each connection."""
    from lstmega.training import trainer  # noqa: F401 - the import is the point

    listener = socket.socket(fileno=descriptor)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # attendants leave no zombies
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _attend(connection)
        connection.close()


def _attend(connection):
    """Start one command, send its number, wait for it, and send its status."""
    message, streams, _, _ = socket.recv_fds(connection, 1 << 20, 3)
    child = os.fork()
    if child == 0:
        connection.close()
        _become(json.loads(message), streams)
    for stream in streams:
        os.close(stream)
    connection.sendall(_NUMBER.pack(child))
    status = os.waitpid(child, 0)[1]
    try:
        connection.sendall(_NUMBER.pack(status))
    finally:
        os._exit(0)


def _become(request, streams):
    """Run the command in this process."""
    code = 1
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        for stream in streams:
            os.close(stream)
        sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
        sys.stderr = open(2, "w", 1, encoding="utf-8", closefd=False)  # noqa: SIM115
        os.chdir(request["cwd"])
        sys.argv = ["lstmega", *request["arguments"]]
        if (before := pickle.loads(bytes.fromhex(request["before"]))) is not None:
            before()
        from lstmega.cli.main import main

        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        try:
            sys.stdout.flush()
        except (OSError, ValueError):
            code = code or 120  # as the interpreter does
        os._exit(code)
