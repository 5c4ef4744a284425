"""Errors; their messages have three parts: the mistake, the received value, the accepted values.

The library raises them; the command line prints them and exits with the `exit_code` of the class.
"""


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


class Stopped(LstmegaError):  # noqa: N818 - not an error of anybody's
    """A signal ended the work after its state was saved (exit code 128 + the signal's number)."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
