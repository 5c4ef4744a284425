"""Commands that measure runs and look inside."""

from pathlib import Path
from typing import Any

import click

from lstmega.cli import terminal
from lstmega.cli.options import checkpoints_option, encoding_option, json_option, run_options


@click.command()
@run_options
@click.option("--text", metavar="PATH|DIR|-|NAME", help="What to read; without it the held-out text.")
@encoding_option
@click.option(
    "--protocol",
    type=click.Choice(["stream", "window"]),
    default="stream",
    show_default=True,
    help="Carry the state through the whole text, or start anew at each window.",
)
@click.option(
    "--window", type=int, default=64, show_default=True, help="Characters that a window predicts."
)
@click.option(
    "--unknown",
    type=click.Choice(["charge", "skip"]),
    default="charge",
    show_default=True,
    help="Characters that the run does not know cost as much as any unseen one, or are left out.",
)
@click.option(
    "--dynamic",
    type=float,
    metavar="RATE",
    help="Let a copy of the model learn from what it has read, at this rate (0.1 is a start).",
)
@click.option("--html", type=Path, help="Write the text, coloured by bits per character, to this file.")
@json_option
def evaluate(html: Path | None, as_json: bool, **options: Any) -> None:
    """Measure how well a run predicts a text, beside simple models of it.

    The text is the run's held-out tail, which training never saw, or any other.
    """
    from lstmega import api

    with terminal.progress() as display:
        result = api.evaluate(**options, progress=display)
    terminal.result(result, html, as_json)


@click.command()
@click.argument("runs", nargs=-1, required=True)
@checkpoints_option
@json_option
def compare(runs: tuple[str, ...], checkpoints: Path, as_json: bool) -> None:
    """Measure several runs, each on its held-out text, in one table."""
    from lstmega import api

    with terminal.progress() as display:
        result = api.compare(runs, checkpoints=checkpoints, progress=display)
    if as_json:
        terminal.print_json(result.to_dicts())
    else:
        terminal.echo(str(result))


@click.command()
@run_options
@click.option("--text", metavar="PATH|DIR|-|NAME", help="What to read; without it the held-out text.")
@encoding_option
@click.option("--unit", metavar="LAYER.UNIT", help="Show what this unit does, as 1.37.")
@click.option(
    "--find",
    metavar="FEATURE",
    help="Search for units that follow quotes, brackets, depth, line, indent, words, uppercase, numbers "
    "or addresses.",
)
@click.option(
    "--part",
    type=click.Choice(["memory", "hidden"]),
    help="What of a unit: tanh(c) of an LSTM (the default there), or what the layer passes on.",
)
@click.option(
    "--characters", type=int, help="Read the first ones only; without it 2,000, and 100,000 for --find."
)
@click.option("--top", type=int, default=5, show_default=True, help="Likeliest characters to show.")
@click.option("--most", type=int, default=10, show_default=True, help="Units that --find names.")
@click.option(
    "--unknown",
    type=click.Choice(["error", "skip"]),
    default="error",
    show_default=True,
    help="What to do with characters that the run does not know.",
)
@click.option("--html", type=Path, help="Write the coloured text to this file, one page of its own.")
@json_option
def inspect(html: Path | None, as_json: bool, **options: Any) -> None:
    """Look inside a run: what it expected at each character, or what its units do.

    With --find, --html shows the unit that was found first.
    """
    from lstmega import api

    with terminal.progress() as display:
        result, shown = api.look_inside(**options, progress=display)
    if html is not None:
        terminal.say(f"Wrote {shown().save_html(html)}")
    if as_json:
        terminal.print_json(result.to_dict())
    else:
        terminal.echo(str(result))
