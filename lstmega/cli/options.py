"""Click options that several commands share, and those that are made from option dataclasses."""

import dataclasses
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
from click.core import ParameterSource

from lstmega.config.base import Config, check_names, flag, usage_error
from lstmega.config.generation import GenerationConfig
from lstmega.config.presets import PRESETS
from lstmega.config.training import COUNTED, LENGTHS, TrainingConfig
from lstmega.errors import UsageError, reason_of
from lstmega.files import Output

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]
Defaults = Mapping[str, Sequence[Config]]  # kind of training -> its default options
_FORCE = "lstmega.force"
_MOST_NAME = 255  # bytes, on all common file systems


def _stack(*decorators: Decorator) -> Decorator:
    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


class Name(click.ParamType):  # type: ignore[type-arg]  # generic since click 8.3
    """The name of a run or a file, as `kind`: one that a file system can have."""

    name = "path"

    def __init__(self, kind: type[str] | type[Path] = str) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse an empty name, one with a zero byte, and one that is too long."""
        text = str(value)
        if not text or "\0" in text or max(map(len, os.fsencode(text).split(b"/"))) > _MOST_NAME:
            self.fail(
                f"A name of a file or a run is needed. Received: {text!r:.100}. Accepted: at least one "
                f"character, at most {_MOST_NAME} bytes between two slashes, no zero byte.",
                param,
                ctx,
            )
        return self._kind(value)


def choice_option(name: str, choices: Sequence[str], default: str | None, doc: str) -> Decorator:
    """Make an option whose value is one of several words."""
    return click.option(name, type=click.Choice(choices), default=default, help=doc)


checkpoints_option = click.option(
    "--checkpoints", type=Name(Path), default="checkpoints", help="Directory of runs."
)
run_options = _stack(
    click.option(
        "--run", type=Name(), metavar="NAME|PATH", help="A run; without it, the newest with weights."
    ),
    checkpoints_option,
)
json_option = click.option(
    "--json", "as_json", is_flag=True, is_eager=True, help="Print JSON on stdout."
)


def _force(context: click.Context, _: click.Parameter, force: bool) -> None:
    context.meta[_FORCE] = force


def _page_file(context: click.Context, _: click.Parameter, path: str | None) -> Output | None:
    """Refuse a file that cannot be written or must not be replaced, before any work is done."""
    from lstmega.display.export import page_file

    if path is None:
        return None
    output = page_file(path, force=context.meta.get(_FORCE, False))
    if not output.to_stdout:
        output.check()
    elif context.params.get("as_json"):
        raise UsageError("Only one result can go to stdout. Received: --html -, and --json.")
    return output


result_options = _stack(
    click.option(
        "--force",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_force,
        help="Let --html replace any file; without it, only an earlier page or an empty file.",
    ),
    json_option,
    click.option(
        "--html",
        metavar="FILE|-",
        callback=_page_file,
        help="Write the result to this file, as one HTML page, or - for stdout.",
    ),
)
encoding_option = click.option(
    "--encoding", help="Encoding of the text, where it is not UTF-8 and has no byte-order mark."
)
text_options = _stack(
    click.option(
        "--text",
        type=Name(),
        metavar="PATH|DIR|-|NAME",
        help="Text to read; without it, the held-out text.",
    ),
    encoding_option,
)
corpora_option = click.option(
    "--corpora", type=Name(Path), default="corpora", help="Directory of named corpora."
)
reading_options = _stack(
    encoding_option,
    click.option("--glob", default="**/*.txt", help="Files to take from a directory."),
    corpora_option,
    choice_option(
        "--tokens", ["char", "byte"], None, "Code points, or the bytes of any file (default: char)."
    ),
    click.option(
        "--keep-line-ends/--no-keep-line-ends", default=None, help="Keep CRLF and CR (default: LF)."
    ),
    click.option("--lower/--no-lower", default=None, help="Turn the text into lower case."),
)
data_options = _stack(
    click.option(
        "--label", metavar="COLUMN", help="Column of the class in a table (default: the first)."
    ),
    click.option(
        "--text",
        multiple=True,
        metavar="COLUMN",
        help="Column to read, by number from 1 or by name (default: all others). Repeatable.",
    ),
    click.option(
        "--header/--no-header", default=None, help="The first row of a table has names (default: no)."
    ),
    click.option(
        "--class-names",
        type=Name(Path),
        help="A file whose lines name the classes 1, 2, ... (or 0, 1, ...).",
    ),
    click.option(
        "--labels", type=Name(Path), help="MNIST's labels, where they are not beside the images."
    ),
    encoding_option,
)


def training_options(
    kind: str, model: type[Config], defaults: Defaults, init_from: str, without: Sequence[str] = ()
) -> Decorator:
    """Make the options of a command that trains; `init_from` is the help of `--init-from`."""
    return _stack(
        click.option("--max-vocabulary", type=int, help="Keep this many tokens; the rest become <unk>."),
        config_option(kind),
        fields_as_options(model, defaults),
        fields_as_options(TrainingConfig, defaults, without),
        click.option(
            "--run",
            type=Name(),
            metavar="NAME|PATH",
            help="Name of the run (default: name of the data and time).",
        ),
        checkpoints_option,
        click.option(
            "--resume/--no-resume",
            default=None,
            help="Resume --run (the default where it exists), or without --run the newest unfinished "
            "run on the same data; --no-resume never resumes. Only --epochs, --steps, --minutes, "
            "--patience, --keep, --mix, --device and --threads may differ.",
        ),
        click.option(
            "--save-every",
            type=click.IntRange(1),
            help="Steps between saved states; without it about every minute, and at validations.",
        ),
        choice_option(
            "--device", ["auto", "cpu", "gpu"], "auto", "auto takes a GPU where TensorFlow finds one."
        ),
        click.option(
            "--threads",
            type=click.IntRange(1),
            help="TensorFlow's intra-op threads (default: all cores).",
        ),
        click.option("--init-from", type=Name(), metavar="NAME|PATH", help=init_from),
    )


def generation_options(temps: str, length: int, num_samples: int, unit: str = "text") -> Decorator:
    """Make the options of a command that generates; `unit` is the word for a result."""
    return _stack(
        run_options,
        click.option(
            "--temps",
            default=temps,
            metavar="LIST",
            help="Temperatures, such as 0.5,0.8 or 0.2:1.4:0.2; 0 takes the most probable character.",
        ),
        click.option("--length", type=int, default=length, help=f"Characters of each {unit}."),
        click.option(
            "--num-samples",
            "--count",
            "num_samples",
            type=int,
            default=num_samples,
            help=f"Number of {unit}s at each temperature.",
        ),
        click.option(
            "--prompt",
            metavar="TEXT|-",
            help="Text to continue, - for stdin; without it, an excerpt of the held-out text.",
        ),
        click.option("--seed", type=int, help="The same seed gives the same texts."),
        choice_option(
            "--unknown",
            ["error", "skip", "fold"],
            "error",
            "Treatment of unknown characters of the prompt.",
        ),
        config_option(),
        fields_as_options(GenerationConfig),
        click.option(
            "--corpus",
            multiple=True,
            type=Name(),
            metavar="PATH|DIR|NAME",
            help="Place of the training text now; without it, the place where it was.",
        ),
    )


def fields_as_options(
    options: type[Config], defaults: Defaults | None = None, without: Sequence[str] = ()
) -> Decorator:
    """Make a click option of every field of an option dataclass; the defaults are only shown."""
    hints = get_type_hints(options)
    wanted = [item for item in dataclasses.fields(options) if item.name not in without]  # type: ignore[arg-type]
    return _stack(*(_field_option(item, hints[item.name], defaults or {}) for item in wanted))


def _field_option(item: "dataclasses.Field[Any]", hint: Any, defaults: Defaults) -> Decorator:
    kind = get_args(hint)[0] if get_origin(hint) not in (None, Literal) else hint
    choices = get_args(kind) if get_origin(kind) is Literal else None
    doc = item.metadata["doc"] + _shown_default(item.name, defaults)
    name, alias = flag(item.name), item.metadata["alias"]
    if kind is bool:
        return click.option(f"{name}/--no-{name[2:]}", default=None, help=doc)
    return click.option(
        *([name, flag(alias), item.name] if alias else [name]),
        type=click.Choice(choices) if choices else kind,
        multiple=get_origin(hint) is tuple,
        callback=_replace_length if item.name in LENGTHS else None,
        help=doc,
    )


def _shown_default(name: str, defaults: Defaults) -> str:
    values = {
        kind: value
        for kind, configs in defaults.items()
        for config in configs
        if (value := getattr(config, name, None)) not in (None, False, ())  # nothing to show
    }
    if len(values) > 1 and len(set(values.values())) == 1:
        values = {"default": next(iter(values.values()))}
    return f"  [{', '.join(f'{kind}: {value}' for kind, value in values.items())}]" if values else ""


def config_option(kind: str = "") -> Decorator:
    """Make the option `--config`, which also accepts the run.json of a run of this kind."""

    def read(context: click.Context, _: click.Parameter, path: Path | None) -> None:
        if path is not None:
            from_run = kind and path.suffix == ".json"
            context.default_map = _recorded(path, kind) if from_run else _from_toml(context, path)

    accepted = f"A TOML file of options{f', or the run.json of a {kind} to train like it' * bool(kind)}"
    return click.option(
        "--config",
        type=Name(Path),
        is_eager=True,
        expose_value=False,
        callback=read,
        help=f"{accepted}. Options of the command line override it.",
    )


def _from_toml(context: click.Context, path: Path) -> dict[str, Any]:
    """Return the values of a TOML file by parameter, converted as on the command line."""
    import tomllib

    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        accepted = f"a TOML file in UTF-8 ({reason_of(error)})"
        raise usage_error("--config", accepted, str(path)) from error
    options = [one for one in context.command.params if isinstance(one, click.Option)]
    known = {
        spelling[2:].replace("-", "_"): option
        for option in options
        for spelling in option.opts
        if option.expose_value
    }
    found: dict[str, Any] = {}
    for key, value in given.items():
        try:
            check_names([name := key.replace("-", "_")], list(known))
            option = known[name]
            if option.name in found:
                raise UsageError(f"{flag(option.name)} must be given once.")
            found[option.name or name] = option.type_cast_value(context, _as_typed(option, value))
        except (UsageError, click.BadParameter) as error:
            message = error.message if isinstance(error, click.BadParameter) else error
            raise UsageError(f"{path}, {key}: {message}") from error
    return found


def _as_typed(option: click.Option, value: Any) -> Any:
    """Return a value of a TOML file as text, because click would cut a float to an integer."""
    values = value if option.multiple and isinstance(value, list) else [value]
    if any(isinstance(one, list | dict) for one in values):
        raise usage_error("The value", "text, a number, true or false", value)
    typed = [str(one) for one in values]
    return typed if option.multiple else typed[0]


def _recorded(path: Path, kind: str) -> dict[str, Any]:
    """Return the options of model, training and reading in the run.json of a run of a kind."""
    from lstmega.runs import directory

    if path.name != directory.RECORD:
        raise usage_error("--config", "a TOML file, or run.json in the directory of a run", str(path))
    record = directory.read_record(path.parent)
    if record.kind != kind:
        raise usage_error("--config", f"run.json of a {kind}", f"{path}, of a {record.kind}")
    info: Any = record.info
    reading = info.reading if kind == "generator" else vars(info.reading)
    options = vars(record.model) | vars(record.training)
    if not record.has_network:
        options = {name: options[name] for name in ("cell", *COUNTED)}
    found = options | dict(reading)
    if info.tokens != "vector":
        found["tokens"] = info.tokens
    if record.preset in PRESETS and record.has_network:
        found["preset"] = record.preset
    return {name: value for name, value in found.items() if value is not None}


def _replace_length(context: click.Context, parameter: click.Parameter, value: Any) -> Any:
    """Drop the lengths of `--config` where the command line, whose options come first, has one."""
    if context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        known = context.default_map or {}
        context.default_map = {name: one for name, one in known.items() if name not in LENGTHS}
    return value
