import os
import signal
import subprocess
import sys
import threading

import pytest

from lstmega.errors import Stopped
from lstmega.training import signals


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_waits_to_be_asked_for(name):
    number = getattr(signal, name)
    before = signal.getsignal(number)
    with signals.deferred() as mailbox:
        mailbox.raise_if_any()
        os.kill(os.getpid(), number)
        with pytest.raises(Stopped, match=name) as caught:
            mailbox.raise_if_any("Go on so.")
    assert str(caught.value).endswith("Go on so.")
    assert caught.value.exit_code == 128 + number
    assert signal.getsignal(number) is before


def test_handlers_come_back_after_an_error():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="x"), signals.deferred():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_ignored_stays_ignored():
    outside = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals.deferred() as mailbox:
            os.kill(os.getpid(), signal.SIGHUP)
            mailbox.raise_if_any()
    finally:
        signal.signal(signal.SIGHUP, outside)


def test_a_second_signal_ends_the_process_at_once():
    code = (
        "import os, signal, time\n"
        "from lstmega.training import signals\n"
        "with signals.deferred():\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 130


def test_another_thread_has_an_empty_mailbox():
    seen = []

    def work():
        with signals.deferred() as mailbox:
            seen.append(mailbox.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [None]
