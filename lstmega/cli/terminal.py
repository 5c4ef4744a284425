"""What the commands say and hear: results on stdout, talk and progress on stderr."""

import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

import click

from lstmega.errors import UsageError


def say(line: str) -> None:
    from lstmega.display.formatting import plain

    click.echo(plain(line), err=True)


def print_json(content: Any) -> None:
    click.echo(json.dumps(content, indent=2, ensure_ascii=sys.stdout.encoding.lower() != "utf-8"))


def echo(text: str) -> None:
    from lstmega.display.formatting import plain

    click.echo(plain(text))


def result(found: Any, html: Path | None, as_json: bool) -> None:
    """Show a result, and write its page where one is asked for."""
    if html is not None:
        say(f"Wrote {found.save_html(html)}")
    if as_json:
        print_json(found.to_dict())
    else:
        echo(str(found))


def progress() -> Any:
    from lstmega.display import progress

    return progress.on(sys.stderr)


def is_one(stream: TextIO | None) -> bool:
    return stream is not None and stream.isatty()


def sequences(given: Sequence[str], *, vectors: bool) -> list[Any]:
    """Return what a person names to a classifier: texts, lines of stdin for -, arrays of .npz files.

    Raises:
        UsageError: Nothing is named, or a file is no such file.
    """
    if not given:
        raise UsageError("Name what to classify. Received: nothing. Accepted: texts, - or .npz files.")
    if vectors:
        from lstmega.data.labelled import vectors_of

        return [row for name in given for row in vectors_of(name)]
    typed = [text for text in given if text != "-"]
    if "-" not in given:
        return typed
    try:
        lines = sys.stdin.buffer.read().decode().splitlines()
    except UnicodeDecodeError as error:
        raise UsageError(f"Standard input must be UTF-8. Received: {error}.") from error
    return typed + [line for line in lines if line.strip()]


class Lines:
    """What a person types: by readline at a terminal, where there is one; else as it comes.

    Args:
        prompt: Shown before each line; on stderr, where readline is not at work.
    """

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._readline: Any = None
        if is_one(sys.stdin) and is_one(sys.stdout):
            with suppress(ImportError):
                import readline

                self._readline = readline

    def next(self) -> str | None:
        """Return the next line without its end; None where there is none.

        Raises:
            UsageError: It is not UTF-8; the next one may be.
        """
        try:
            return self._typed() if self._readline else self._read()
        except UnicodeDecodeError as error:
            raise UsageError(f"A line must be UTF-8. Received: {error.object[:60]!r}.") from error

    def changed(self, line: str) -> str:
        """Return a line as a person changes it.

        Raises:
            UsageError: There is no readline to do that with.
        """
        if not self._readline:
            raise UsageError(f"/edit needs the last line as it is to be. Received: none. It is: {line}")
        self._readline.set_startup_hook(lambda: self._readline.insert_text(line))
        try:
            typed = self.next()
        finally:
            self._readline.set_startup_hook()
        return line if typed is None else typed

    def _typed(self) -> str | None:
        try:
            return input(self._prompt)
        except EOFError:
            return None

    def _read(self) -> str | None:
        with suppress(OSError, ValueError):
            click.echo(self._prompt, nl=False, err=True)
        line = b"" if sys.stdin is None else sys.stdin.buffer.readline()
        return line.decode().removesuffix("\n").removesuffix("\r") if line else None
