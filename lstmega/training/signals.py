"""Signals that wait for the end of a step."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lstmega.errors import Stopped

# SIGHUP does not exist everywhere.
_STOPPING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


class Mailbox:
    """Keeps the first signal until the loop checks; a second one ends the process at once."""

    def __init__(self) -> None:
        self.received: int | None = None

    def receive(self, number: int, _: FrameType | None = None) -> None:
        """Keep a signal: the handler."""
        if self.received is not None:
            os._exit(128 + number)
        self.received = number

    def raise_if_any(self, hint: str = "") -> None:
        """Raise the signal that was kept; `hint` explains how to resume.

        Raises:
            Stopped: A signal has come; its exit code is 128 + the signal's number.
        """
        if self.received is not None:
            name = signal.Signals(self.received).name
            raise Stopped(f"Stopped by {name}. {hint}".strip(), self.received)


@contextmanager
def deferred() -> Iterator[Mailbox]:
    """Keep SIGINT, SIGTERM and SIGHUP in a mailbox inside the block, then restore the old handlers.

    A signal that was ignored (`nohup`) stays ignored. In a thread other than the main one no handler
    can be set, and the mailbox stays empty.
    """
    mailbox = Mailbox()
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in _STOPPING:
            if signal.getsignal(number) not in (signal.SIG_IGN, None):  # None: not Python's to set
                before[number] = signal.signal(number, mailbox.receive)
    try:
        yield mailbox
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
