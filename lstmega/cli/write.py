"""The command `write`: a text in turns, line by line, on any terminal or pipe.

Proposals and messages go to stderr, the finished text to stdout.
"""

import re
import sys
from collections.abc import Callable
from typing import Any

import click

from lstmega.cli import terminal
from lstmega.cli.options import generation_options
from lstmega.errors import LstmegaError, UsageError
from lstmega.files import Output

HELP = """\
  a number      take the proposal with this number
  Enter, /again other proposals
  any text      add it as typed, without a line end: \\n is a line end, \\\\ is \\; spaces at the start
                and the end count
  /add TEXT     the same, for a text that is a number or begins with /
  /undo /redo   one step back, with its proposals; one step forward
  /cut N        remove N characters at the end
  /edit TEXT    replace the last line by TEXT; at a terminal, /edit alone opens the line for changes
  /temps LIST   temperatures of the proposals, such as 0.4,0.7 or 0.2:1:0.2
  /length N     length of a proposal, in characters
  /count N      number of proposals at each temperature
  /show         show the whole text
  /save FILE    save the text in a file
  /help         this list
  /quit, Ctrl-D finish; the text goes to standard output (also after Ctrl-C)"""
_SILENT = ("show", "save", "help")  # commands that change nothing
_BACK = ("undo", "redo")  # commands that show earlier proposals again
_TAIL = 300  # characters of the text that are shown above the proposals
_PROMPT = "> "


def _text_file(_: click.Context, option: click.Parameter, path: str | None) -> str | None:
    """Refuse a file that cannot be written, before any work is done; stdout has the text anyway."""
    output = None if path is None else Output(path, option.opts[0], force=True)
    if output is None or output.to_stdout:
        return None
    output.check()
    return path


@click.command()
@generation_options("0.4,0.7,1.0", 80, 1, unit="proposal")
@click.option(
    "--adapt/--no-adapt",
    default=True,
    help="Adapt the proposals to the prompt and to what you type; /undo takes that back too.",
)
@click.option(
    "--output",
    metavar="FILE|-",
    callback=_text_file,
    help="Save the text in this file after every change; if it has a text already, continue that text.",
)
def write(output: str | None, **options: Any) -> None:
    """Write a text in turns with a run.

    The run proposes; you pick, type and undo. /help lists the commands. Constraints such as --regex,
    --acrostic or --lines apply to each proposal on its own, from its start.
    """
    from lstmega import api
    from lstmega.inference.temperature import parse_temperatures

    options["prompt"] = _beginning(options["prompt"], output)
    temperatures = parse_temperatures(options.pop("temps"))
    session = api.write(temperatures=temperatures, **options)
    interrupted = _Conversation(session, output).go_on()
    _finish(session.text)
    if interrupted:
        raise click.Abort


def _beginning(prompt: str | None, output: str | None) -> str | None:
    """Return the beginning of the text: the content of the file `output`, or the prompt."""
    from lstmega.inference import session

    if prompt == "-":
        raise UsageError(
            "--prompt of write must be a text. Received: -, but stdin has the lines you type."
        )
    kept = session.load_text(output) if output is not None else None
    if kept and prompt is not None:
        raise UsageError(
            f"--output has a text already, which is continued. Received: {output}, and a --prompt. "
            "Accepted: one of the two, or the name of a new file."
        )
    return kept or prompt


def _finish(text: str) -> None:
    """Print the text as it is; on a terminal with control characters escaped, and a line end."""
    if terminal.is_one(sys.stdout):
        terminal.echo(text)
    else:
        click.echo(text, nl=False)


class _Conversation:
    """One session at the command line."""

    def __init__(self, session: Any, output: str | None) -> None:
        self.session = session
        self._output = output
        self._lines = terminal.Lines(_PROMPT)
        self._commands: dict[str, Callable[[str], None]] = {
            "add": lambda words: session.add(_unescaped(words)),
            "again": lambda _: None,
            "undo": lambda _: session.undo(),
            "redo": lambda _: session.redo(),
            "cut": lambda words: terminal.say(f"Cut: {session.cut(_number('/cut', words))!r}"),
            "edit": self._edit,
            "temps": self._heat,
            "length": lambda words: setattr(session, "length", _number("/length", words)),
            "count": lambda words: setattr(session, "num_samples", _number("/count", words)),
            "show": lambda _: terminal.say(session.text),
            "save": lambda words: terminal.say(f"Wrote {session.save(_path(words))}"),
            "help": lambda _: terminal.say(HELP),
        }

    def go_on(self) -> bool:
        """Read lines until the end, and return whether the end was Ctrl-C."""
        self._keep()  # reports a file that cannot be written before anything is typed
        try:
            terminal.say(f"{self.session.heading}. /help lists what you can type; Ctrl-D ends.")
            self._show(self.session.propose())
            while self._answer():
                pass
        except KeyboardInterrupt:
            terminal.say("")
            return True
        return False

    def _answer(self) -> bool:
        """Execute the next line, and return False at the end; a mistake changes nothing."""
        try:
            line = self._lines.next()
            if line is None or line.strip() == "/quit":
                terminal.say("")
                return False
            proposals = self._do(line)
        except (LstmegaError, OSError) as error:
            terminal.say(terminal.message(error))
            return True
        try:
            self._keep()
        except (LstmegaError, OSError) as error:
            terminal.say(f"The text could not be saved: {terminal.message(error)}")
        if proposals is not None:
            self._show(proposals)
        return True

    def _do(self, line: str) -> Any:
        """Execute a line, and return the proposals to show; None after commands that change nothing."""
        if line.startswith("/"):
            name, _, words = line[1:].partition(" ")
            self._command(name)(words)
            if name in _SILENT:
                return None
            seen = self.session.proposals if name in _BACK else None
            return seen or self.session.propose()
        if line.isascii() and line.rstrip().isdecimal():
            self.session.pick(_number("A pick", line))
        elif line:
            self.session.add(_unescaped(line))
        return self.session.propose()

    def _command(self, name: str) -> Callable[[str], None]:
        if name not in self._commands:
            accepted = ", ".join(f"/{known}" for known in [*self._commands, "quit"])
            raise UsageError(f"A command must be one of: {accepted}. Received: /{name:.60}.")
        return self._commands[name]

    def _keep(self) -> None:
        if self._output is not None:
            self.session.save(self._output)

    def _show(self, proposals: Any) -> None:
        """Show the end of the text, and numbered proposals."""
        text = self.session.text
        terminal.say(f"\n{'…' if len(text) > _TAIL else ''}{text[-_TAIL:]}")
        for number, proposal in enumerate(proposals, 1):
            shown = proposal.text.replace("\n", "⏎") or "(nothing may follow)"
            terminal.say(f"  {number}  {proposal.temperature:<4g} {shown}")

    def _edit(self, words: str) -> None:
        if not words:
            words = self._lines.changed(_escaped(self.session.last_line))
        self.session.edit(_unescaped(words))

    def _heat(self, words: str) -> None:
        from lstmega.inference.temperature import parse_temperatures

        self.session.temperatures = parse_temperatures(words.strip())


def _unescaped(words: str) -> str:
    return re.sub(r"\\([n\\])", lambda found: "\n" if found[1] == "n" else "\\", words)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(what: str, words: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", words.strip()):
        raise UsageError(f"{what} needs a whole number. Received: {words.strip()!r:.60}.")
    return int(words)


def _path(words: str) -> str:
    if not words.strip():
        raise UsageError("/save needs the name of a file. Received: none.")
    return words.strip()
