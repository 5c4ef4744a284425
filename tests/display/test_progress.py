import io

from rich.console import Console

from lstmega.display import progress
from lstmega.display.history import HistoryRow
from lstmega.display.progress import LiveProgress, PlainProgress

ROW = HistoryRow(10, 1, 2.0, 1.5, 2.164, 1e-3, 1234.5, 61.0)


def tell(listener):
    listener.note("corpus: \x1b[31mred")
    listener.begin(20, 2)
    listener.step(10, 1, 2.0, 1234.5, 30.0)
    listener.validated(ROW, [("0.5", "one\ntwo\x07")])
    listener.end()


def test_lines_hold_no_control_characters():
    stream = io.StringIO()
    tell(PlainProgress(stream))
    said = stream.getvalue()
    assert not any(ord(c) < 32 for c in said.replace("\n", ""))
    assert "held out 1.500 nats (2.164 bits/char)" in said
    assert "1,234 characters/s" in said or "1,235 characters/s" in said
    assert "0.5: one⏎two\\x07" in said


def test_lines_are_rare_between_validations(monkeypatch):
    stream, now = io.StringIO(), [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    listener = PlainProgress(stream)
    listener.begin(100, 1)
    for step in range(100):
        now[0] += 1
        listener.step(step, 1, 2.0, 100.0, 100.0 - step)
    assert len(stream.getvalue().splitlines()) == 5


def test_live_shows_loss_speed_and_time_left():
    stream = io.StringIO()
    tell(LiveProgress(Console(file=stream, force_terminal=True, width=200)))
    said = stream.getvalue()
    for part in ("2.000 nats (2.885 bits/char)", "1,234 characters/s", "30 s left", "held out 1.500"):
        assert part in said
    assert "\x1b[31mred" not in said


def test_download_bar_ends():
    stream = io.StringIO()
    listener = LiveProgress(Console(file=stream, force_terminal=True, width=200))
    listener.download(0, 100)
    listener.download(100, 100)
    assert listener._bar is None


def test_the_stream_decides():
    assert isinstance(progress.on(io.StringIO()), PlainProgress)
