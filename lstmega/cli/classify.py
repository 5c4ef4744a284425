"""Commands that train, use and evaluate classifiers."""

from typing import Any

import click

from lstmega.cli import terminal
from lstmega.cli.options import (
    Name,
    choice_option,
    data_options,
    json_option,
    result_options,
    run_options,
    training_options,
)
from lstmega.config.model import ClassifierConfig
from lstmega.config.presets import CLASSIFIERS
from lstmega.config.training import TEXT_ONLY
from lstmega.files import Output

_INIT_FROM = (
    "Start from the embedding and the recurrent layers of this run, a generator or a classifier."
)


@click.group()
def classify() -> None:
    """Classify sequences: names, news, rows of pixels."""


@classify.command()
@click.option(
    "--data",
    required=True,
    multiple=True,
    type=Name(),
    metavar="PATH",
    help="A directory with a text file for each class, a .csv, .tsv or .npz file, or MNIST's images.",
)
@data_options
@choice_option(
    "--tokens",
    ["char", "word"],
    None,
    "Unit of a text (default: characters of short texts, else words).",
)
@training_options("classifier", ClassifierConfig, CLASSIFIERS, _INIT_FROM, without=TEXT_ONLY)
def train(data: tuple[str, ...], **options: Any) -> None:
    """Train a classifier, and keep it in a run directory.

    The defaults of options depend on whether characters, words or vectors are read. Progress goes to
    stderr, the run's path to stdout.
    """
    from lstmega import classify

    terminal.path(classify.train(data, **options).path)


@classify.command()
@click.argument("texts", nargs=-1)
@run_options
@click.option(
    "--top", type=click.IntRange(1), default=3, help="Number of most probable classes to show."
)
@json_option
def predict(texts: tuple[str, ...], top: int, as_json: bool, **options: Any) -> None:
    """Classify texts, the lines of stdin (-), or the arrays of .npz files."""
    from lstmega import classify
    from lstmega.cli.terminal import sequences
    from lstmega.display import formatting as display

    run = classify.load(options["run"], checkpoints=options["checkpoints"])
    found = classify.predict(run, sequences(texts, vectors=run.vocabulary is None))
    if as_json:
        terminal.print_json(found.to_dicts(top))
    else:
        terminal.echo(display.columns(found.table(top)))


@classify.command()
@run_options
@click.option(
    "--data",
    type=Name(),
    multiple=True,
    metavar="PATH",
    help="Other examples; without it, the held-out ones.",
)
@click.option("--moved", is_flag=True, help="--data is the run's own data in another place.")
@data_options
@result_options
def evaluate(html: Output | None, as_json: bool, **options: Any) -> None:
    """Compare predicted and true classes: accuracy, macro-F1, confusion matrix."""
    from lstmega import classify

    result = classify.evaluate(options.pop("run"), options.pop("data") or None, **options)
    terminal.result(result, as_json, html)
