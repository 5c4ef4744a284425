"""The command `write`: a conversation, line by line, on any terminal or pipe.

The conversation is on stderr; the text itself goes to stdout when it is finished.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lstmega import terminal
from lstmega.errors import LstmegaError, UsageError
from lstmega.flags import (
    fields_as_options,
    prompt_options,
    run_options,
    training_text_option,
)
from lstmega.options import WritingOptions

HELP = """\
  a number      take that proposal
  Enter         other proposals
  any text      is added as you type it; \\n is a new line, a space at the start counts
  /undo /redo   one step back, one forward
  /cut N        take N characters away at the end
  /temps LIST   propose at these temperatures, as 0.4,0.7 or 0.2:1:0.2
  /length N     propose so many characters
  /show         the whole text
  /save FILE    keep it in a file
  /quit         or Ctrl-D: finish; the text goes to standard output"""
_SILENT = ("show", "save", "help")  # commands that change nothing
_TAIL = 300  # characters of the text that are shown above the proposals


@click.command()
@run_options
@click.option(
    "--temps", default="0.4,0.7,1.0", show_default=True, metavar="LIST", help="One proposal at each."
)
@click.option("--length", type=int, default=80, show_default=True, help="Characters of a proposal.")
@click.option("--count", type=int, default=1, show_default=True, help="Proposals at each temperature.")
@prompt_options
@fields_as_options(WritingOptions)
@training_text_option
@click.option("--output", type=Path, help="Keep the text in this file after every change.")
def write(output: Path | None, **options: Any) -> None:
    """Write together with a run: it proposes, you pick, type, undo and go on.

    /help lists what can be typed. What options such as --regex ask for holds for each proposal.
    """
    from lstmega import api
    from lstmega.temperatures import parse_temperatures

    if options["prompt"] == "-":
        raise UsageError("--prompt of write is a text: what you type comes from standard input.")
    temperatures = parse_temperatures(options.pop("temps"))
    session = api.write(temperatures=temperatures, **options)
    interrupted = _Talk(session, output).go_on()
    click.echo(session.text)
    if interrupted:
        raise click.Abort


class _Talk:
    """One conversation."""

    def __init__(self, session: Any, output: Path | None) -> None:
        self.session = session
        self._output = output
        self._commands: dict[str, Callable[[str], None]] = {
            "undo": lambda _: session.undo(),
            "redo": lambda _: session.redo(),
            "cut": lambda words: terminal.say(f"Cut: {session.cut(_number('/cut', words))!r}"),
            "temps": self._heat,
            "length": self._lengthen,
            "show": lambda _: terminal.say(session.text),
            "save": lambda words: terminal.say(f"Wrote {session.save(_path(words))}"),
            "help": lambda _: terminal.say(HELP),
        }

    def go_on(self) -> bool:
        """Talk until the end, and return whether that was Ctrl-C."""
        terminal.say(f"{self.session.heading}. /help lists what you can type; Ctrl-D ends.")
        try:
            self._propose()
            while (line := self._heard()) is not None:
                self._answer(line)
        except KeyboardInterrupt:
            terminal.say("")
            return True
        return False

    def _heard(self) -> str | None:
        """Return the next line, None at the end."""
        click.echo("> ", nl=False, err=True)
        line = sys.stdin.readline()
        if not line or line.strip() == "/quit":
            terminal.say("")
            return None
        return line.removesuffix("\n").removesuffix("\r")

    def _answer(self, line: str) -> None:
        """Do what a line says; a mistake is told and changes nothing."""
        name, _, words = line[1:].partition(" ")
        try:
            if line.startswith("/"):
                self._command(name)(words.strip())
            elif line.strip().isdecimal():
                self.session.pick(int(line))
            elif line:
                self.session.add(line.replace("\\n", "\n"))
            if self._output is not None:
                self.session.save(self._output)
        except (LstmegaError, OSError) as error:
            terminal.say(str(error))
            return
        if not line.startswith("/") or name not in _SILENT:
            self._propose()

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            accepted = ", ".join(f"/{known}" for known in [*self._commands, "quit"])
            raise UsageError(f"A command must be one of: {accepted}. Received: /{name:.60}.")
        return self._commands[name]

    def _propose(self) -> None:
        """Show the end of the text, and numbered proposals."""
        text = self.session.text
        terminal.say(f"\n{'…' if len(text) > _TAIL else ''}{text[-_TAIL:]}")
        for number, proposal in enumerate(self.session.propose(), 1):
            shown = proposal.text.replace("\n", "⏎")
            terminal.say(f"  {number}  {proposal.temperature:<4g} {shown}")

    def _heat(self, words: str) -> None:
        from lstmega.temperatures import parse_temperatures

        self.session.heat(parse_temperatures(words))

    def _lengthen(self, words: str) -> None:
        self.session.length = _number("/length", words)


def _number(command: str, words: str) -> int:
    if not words.isdecimal():
        raise UsageError(f"{command} needs a whole number. Received: {words!r:.60}.")
    return int(words)


def _path(words: str) -> str:
    if not words:
        raise UsageError("/save needs the name of a file. Received: none.")
    return words
