"""Commands that measure runs and look inside them."""

from pathlib import Path
from typing import Any, get_args

import click

from lstmega.cli import terminal
from lstmega.cli.options import (
    Name,
    checkpoints_option,
    choice_option,
    json_option,
    result_options,
    run_options,
    text_options,
)
from lstmega.config.presets import ADAPTATION_RATE
from lstmega.config.training import Mix
from lstmega.files import Output


@click.command()
@run_options
@text_options
@choice_option(
    "--protocol",
    ["stream", "window"],
    "stream",
    "Carry the state through the whole text, or start from the zero state at each window.",
)
@click.option("--window", type=int, default=64, help="Characters that a window predicts.")
@choice_option(
    "--unknown",
    ["charge", "skip"],
    "charge",
    "Unknown characters cost as much as any unseen code point, or are left out.",
)
@click.option(
    "--dynamic",
    type=float,
    is_flag=False,
    flag_value=ADAPTATION_RATE,
    metavar="[RATE]",
    help="Also measure a reader that adapts to the text: a cache of what was read, and a correction "
    f"of the logits that learns at this rate (default: {ADAPTATION_RATE}).",
)
@choice_option(
    "--mix",
    get_args(Mix),
    None,
    "Measure with the n-gram model of the run (the default where it has one), or the network alone.",
)
@result_options
def evaluate(html: Output | None, as_json: bool, **options: Any) -> None:
    """Measure a run beside simple models.

    The loss is that of the run's held-out text, which training never read, or of any other text. --html
    colours the text by bits per character.
    """
    from lstmega import api

    with terminal.progress() as display:
        result = api.evaluate(**options, progress=display)
    terminal.result(result, as_json, html)


@click.command()
@click.argument("runs", nargs=-1, required=True, type=Name())
@checkpoints_option
@json_option
def compare(runs: tuple[str, ...], checkpoints: Path, as_json: bool) -> None:
    """Measure several runs, each on its held-out text, in one table."""
    from lstmega import api

    with terminal.progress() as display:
        result = api.compare(runs, checkpoints=checkpoints, progress=display)
    terminal.result(result, as_json)


@click.command()
@run_options
@text_options
@click.option("--unit", metavar="LAYER.UNIT", help="Show the activations of this unit, such as 1.37.")
@click.option(
    "--find",
    metavar="FEATURE",
    help="Search for units that follow quotes, brackets, depth, line, indent, words, uppercase, numbers "
    "or addresses.",
)
@choice_option(
    "--part",
    ["memory", "hidden"],
    None,
    "Value of a unit: tanh(c) of an LSTM (the default there), or the output of the layer.",
)
@click.option(
    "--characters",
    type=int,
    help="Characters to read, from the start (default: 2,000, and 100,000 for --find).",
)
@click.option("--top", type=int, default=5, help="Number of most probable characters to show.")
@click.option("--most", type=int, default=10, help="Number of units that --find lists.")
@choice_option("--unknown", ["error", "skip"], "error", "Treatment of unknown characters.")
@result_options
def inspect(html: Output | None, as_json: bool, **options: Any) -> None:
    """Show predictions and units of a run.

    By default the prediction of each character; --unit and --find show activations of units. With
    --find, --html shows the first unit of the list.
    """
    from lstmega import api

    with terminal.progress() as display:
        result, page = api.look_inside(**options, progress=display)
    terminal.result(result, as_json, html, page)
