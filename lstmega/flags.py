"""Click options that several commands share, and those that are made from option dataclasses."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from lstmega.options import flag
from lstmega.presets import PRESETS

Command = Callable[..., Any]
CHECKPOINTS = "checkpoints"


def _stack(*decorators: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


checkpoints_option = click.option(
    "--checkpoints", type=Path, default=CHECKPOINTS, show_default=True, help="Directory of runs."
)
run_options = _stack(
    click.option("--run", metavar="NAME|PATH", help="A run; without it, the newest with weights."),
    checkpoints_option,
)
training_text_option = click.option(
    "--corpus",
    multiple=True,
    metavar="PATH|DIR|NAME",
    help="Where the text that the run was trained on is now; without it, where it was.",
)
prompt_options = _stack(
    click.option(
        "--prompt",
        metavar="TEXT|-",
        help="What to go on from, - for stdin; without it, an excerpt of the held-out text.",
    ),
    click.option("--seed", type=int, help="The same seed writes the same texts."),
    click.option(
        "--unknown",
        type=click.Choice(["error", "skip", "fold"]),
        default="error",
        show_default=True,
        help="What to do with characters of the prompt that the run does not know.",
    ),
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
encoding_option = click.option(
    "--encoding", help="The text's encoding, where it is not UTF-8 and has no mark."
)
reading_options = _stack(
    encoding_option,
    click.option(
        "--glob", default="**/*.txt", show_default=True, help="Files to take from a directory."
    ),
    click.option(
        "--corpora",
        type=Path,
        default="corpora",
        show_default=True,
        help="Where named corpora are kept.",
    ),
    click.option(
        "--tokens",
        type=click.Choice(["char", "byte"]),
        default="char",
        show_default=True,
        help="Code points, or the bytes of any file.",
    ),
    click.option("--keep-line-ends", is_flag=True, help="Keep CRLF and CR; without it they become LF."),
    click.option("--lower", is_flag=True, help="Turn the text into lower case."),
)


def fields_as_options(options: type) -> Callable[[Command], Command]:
    """Make a click option of every field of an option dataclass; without one it is None."""
    hints = get_type_hints(options)
    return _stack(*(_field_option(item, hints[item.name]) for item in dataclasses.fields(options)))


def _field_option(item: "dataclasses.Field[Any]", hint: Any) -> Callable[[Command], Command]:
    kind = get_args(hint)[0] if get_origin(hint) not in (None, Literal) else hint
    choices = get_args(kind) if get_origin(kind) is Literal else None
    small = vars(PRESETS["small"].model) | vars(PRESETS["small"].training)
    default = small.get(item.name)
    shown = "" if default is None else f"  [small: {default}]"
    if kind is bool:
        name = flag(item.name)
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=item.metadata["doc"] + shown)
    return click.option(
        flag(item.name),
        type=click.Choice(choices) if choices else kind,
        multiple=get_origin(hint) is tuple,
        help=item.metadata["doc"] + shown,
    )
