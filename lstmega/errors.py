"""Errors; their messages have three parts: the mistake, the received value, the accepted values.

The library raises them; the command line prints them and exits with the `exit_code` of the class.
"""

import errno
import os


class LstmegaError(Exception):
    """Base class of all errors with a message for the user (exit code 1)."""

    exit_code = 1


class UsageError(LstmegaError):
    """An argument, a file or a prompt cannot be used as given (exit code 2)."""

    exit_code = 2


class CorpusError(UsageError):
    """A corpus is missing, unreadable, undecodable or too short (exit code 2)."""


class DownloadError(LstmegaError):
    """A named corpus could not be downloaded and verified (exit code 1)."""


class PromptError(UsageError):
    """A prompt has characters that are not in the run's vocabulary (exit code 2)."""


class RunError(LstmegaError):
    """A run directory is missing, incomplete, damaged or from a newer version (exit code 1)."""


class DamageError(RunError):
    """A file of a run is missing, cut or changed (exit code 1)."""


class TrainingError(LstmegaError):
    """Training cannot continue: the loss is not finite, or memory is short (exit code 1)."""


def reason_of(error: Exception) -> str:
    """Return the reason of an error of the operating system, or its text."""
    return str(getattr(error, "strerror", None) or error)


def sentence_of(error: OSError) -> str:
    """Return an error of the operating system for the user: the file, the reason, a way out."""
    file = error.filename2 or error.filename
    what = "A file or a stream" if file is None else os.fsdecode(file) if file != "" else "''"
    accepted = _WAYS_OUT.get(error.errno or 0, "a file that can be read and written")
    return f"{what} cannot be used. Received: {reason_of(error)}. Accepted: {accepted}."


_WAYS_OUT = {
    errno.ENOSPC: "a disk with free space",
    errno.EDQUOT: "a disk with free space",
    errno.EROFS: "a disk that can be written",
    errno.EACCES: "a place that you may read and write",
    errno.EPERM: "a place that you may read and write",
    errno.ENAMETOOLONG: "a shorter name",
    errno.ENOENT: "a path that exists",
    errno.ENOTDIR: "a path whose other parts are directories",
    errno.EEXIST: "a name that is free",
    errno.EISDIR: "a file",
    errno.EMFILE: "a higher limit of open files (ulimit -n)",
}


class Stopped(LstmegaError):  # noqa: N818 - not an error of anybody's
    """A signal ended the work after its state was saved (exit code 128 + the signal's number)."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
