"""Click options that several commands share, and those that are made from option dataclasses."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click

from lstmega.config.base import flag
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import PRESETS
from lstmega.config.training import TrainingConfig

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


def num_samples_option(default: int, doc: str) -> Callable[[Command], Command]:
    """Make the option for the number of texts; `--count` is its earlier name."""
    return click.option(
        "--num-samples", "--count", "num_samples", type=int, default=default, show_default=True, help=doc
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
    click.option("--lower", is_flag=True, default=None, help="Turn the text into lower case."),
)


data_options = _stack(
    click.option(
        "--label", metavar="COLUMN", help="Column of the class in a table (default: the first)."
    ),
    click.option(
        "--text",
        multiple=True,
        metavar="COLUMN",
        help="GeneratedStep to read, by number from 1 or by name. Repeatable; all others, else.",
    ),
    click.option("--header", is_flag=True, help="The first row of a table holds names."),
    click.option(
        "--class-names", type=Path, help="A file whose lines name the classes 1, 2, ... (or 0, 1, ...)."
    ),
    click.option("--labels", type=Path, help="MNIST's labels, where they are not beside the images."),
    encoding_option,
)
machine_options = _stack(
    click.option(
        "--resume/--no-resume",
        default=None,
        help="Go on where --run stopped (the default), or the newest unfinished run of the same; or "
        "never. --epochs, --steps, --minutes, --patience, --device and --threads may differ, nothing "
        "else.",
    ),
    click.option(
        "--save-every",
        type=click.IntRange(1),
        help="Steps between saved states; without it about every minute, and at validations.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="Where to train; auto takes a GPU where TensorFlow sees one.",
    ),
    click.option("--threads", type=click.IntRange(1), help="Threads of one operation on the CPU."),
)


def fields_as_options(options: type, without: Sequence[str] = ()) -> Callable[[Command], Command]:
    """Make a click option of every field of an option dataclass; without one it is None.

    Args:
        options: The dataclass.
        without: Fields to leave out.
    """
    hints = get_type_hints(options)
    wanted = [item for item in dataclasses.fields(options) if item.name not in without]
    return _stack(*(_field_option(item, hints[item.name], options) for item in wanted))


def _field_option(
    item: "dataclasses.Field[Any]", hint: Any, options: type
) -> Callable[[Command], Command]:
    kind = get_args(hint)[0] if get_origin(hint) not in (None, Literal) else hint
    choices = get_args(kind) if get_origin(kind) is Literal else None
    small = vars(PRESETS["small"].model) | vars(PRESETS["small"].training)
    default = small.get(item.name) if options in (GeneratorConfig, TrainingConfig) else None
    shown = "" if default is None else f"  [small: {default}]"
    if kind is bool:
        name = flag(item.name)
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=item.metadata["doc"] + shown)
    alias = item.metadata["alias"]
    return click.option(
        *([flag(item.name), flag(alias), item.name] if alias else [flag(item.name)]),
        type=click.Choice(choices) if choices else kind,
        multiple=get_origin(hint) is tuple,
        help=item.metadata["doc"] + shown,
    )
