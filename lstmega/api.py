"""The public functions; their defaults are those of the command line.

`run` is a run, its name or its path (None takes the newest), `checkpoints` the directory of runs. All
functions raise UsageError for an argument that does not exist or is out of bounds, and for a run that
does not exist or is of another kind; RunError for a damaged run.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, Unpack, cast, get_args, overload

from lstmega import arguments, classify
from lstmega.arguments import PathLike, check_options, resolve
from lstmega.config import presets
from lstmega.config.base import check_choice
from lstmega.config.generation import GenerationConfig
from lstmega.config.keywords import GenerationOptions, GeneratorOptions, SamplingOptions
from lstmega.config.model import GeneratorConfig
from lstmega.config.presets import ADAPTATION_RATE, PRESETS
from lstmega.config.training import DeviceChoice, Mix, TrainingConfig
from lstmega.data.corpus import CORPORA, Corpus, Tokens
from lstmega.data.suffix_array import TextIndex
from lstmega.data.vocabulary import UnknownPolicy
from lstmega.display.progress import Progress
from lstmega.errors import UsageError
from lstmega.evaluation import activations, generator, predictions, probing, scoring
from lstmega.evaluation import sweep as sweeps
from lstmega.evaluation.activations import Part, Unit, UnitActivations
from lstmega.evaluation.classifier import ClassifierEvaluation
from lstmega.evaluation.comparison import Comparison, measured
from lstmega.evaluation.features import Feature
from lstmega.evaluation.generator import Evaluation, UnknownCost
from lstmega.evaluation.predictions import Inspection
from lstmega.evaluation.probing import ProbeResult
from lstmega.evaluation.sweep import Sweep
from lstmega.inference import generate
from lstmega.inference.outputs import Samples, Stream
from lstmega.inference.session import Session
from lstmega.inference.temperature import check_temperatures
from lstmega.runs import generator_job, report
from lstmega.runs.job import CHECKPOINTS
from lstmega.runs.run import ClassifierRun, GeneratorRun, Run

ResultT = TypeVar("ResultT")


def train(
    corpus: Corpus | PathLike | Sequence[PathLike],
    *,
    preset: str | None = None,
    run: PathLike | None = None,
    checkpoints: PathLike = CHECKPOINTS,
    encoding: str | None = None,
    glob: str | None = None,
    tokens: Tokens | None = None,
    keep_line_ends: bool | None = None,
    lower: bool | None = None,
    corpora: PathLike = CORPORA,
    max_vocabulary: int | None = None,
    resume: bool | None = None,
    init_from: Run | PathLike | None = None,
    save_every: int | None = None,
    device: DeviceChoice = "auto",
    threads: int | None = None,
    callbacks: Sequence[Any] = (),
    progress: Progress | bool = True,
    **options: Unpack[GeneratorOptions],
) -> GeneratorRun:
    """Train a generator on a text.

    Args:
        corpus: A file, a directory, a named corpus (`nietzsche`, `tinyshakespeare`, `pydoc`), several
            of these, or a `Corpus`.
        preset: `tiny`, `small`, `notebook`, `windowed` or `large`; None chooses options for `minutes`,
            or takes `small`; a resumed run keeps its own.
        run: The run's name below `checkpoints`, or a path; None makes one of text and time.
        checkpoints: The directory of runs.
        encoding: The text's encoding; None means UTF-8 or the encoding of a byte-order mark.
        glob: The files to take from a directory; None means `**/*.txt`.
        tokens: `char` (the default) for code points, `byte` for any file.
        keep_line_ends: Keep CRLF and CR instead of turning them into LF.
        lower: Turn the text into lower case; None as the preset does, a `Corpus` is left as it is. A
            resumed run keeps its encoding, tokens, line ends and case where none is given.
        corpora: The directory of named corpora.
        max_vocabulary: Keep this many tokens; the rest become `<unk>`.
        resume: None resumes `run` if it exists; True, without `run`, the newest unfinished run on this
            text; False never resumes.
        init_from: A run whose best weights a new run starts from (warm start), on this or another text.
        save_every: Steps between saved states; None saves about every minute and at validations.
        device: `auto`, `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; None takes the cores.
        callbacks: Keras callbacks; they see `loss` and `val_loss` in nats per character. Their own state
            is not saved with the run.
        progress: True displays the training on stderr or in the notebook, False is silent.
        options: Fields of `GeneratorConfig` and `TrainingConfig`: `units=`, `epochs=`, `minutes=`, ...

    Returns:
        The finished run.

    Raises:
        UsageError: An option, the text or the run's name cannot be used as given.
        TrainingError: The loss became NaN or infinite, or memory is short.
        Stopped: A signal came; everything is saved, and the same call with `run=` resumes the training.
    """
    check_options(train, options, GeneratorConfig, TrainingConfig)
    presets.resolve(preset, options)  # a wrong option is reported before a text is read or downloaded
    lowers = preset is not None and PRESETS[preset].lower and not isinstance(corpus, Corpus)
    reading = {"encoding": encoding, "glob": glob, "tokens": tokens, "keep_line_ends": keep_line_ends}
    given = presets.given_of(reading | {"lower": lowers or None if lower is None else lower})
    if run is not None and not isinstance(corpus, Corpus):
        given = arguments.reading_of(run, checkpoints) | given
    with arguments.display(progress) as display:
        job = generator_job.prepare(
            arguments.corpus(corpus, given, corpora, display),
            preset=preset,
            run=run,
            checkpoints=checkpoints,
            resume=resume,
            init_from=None if init_from is None else resolve(GeneratorRun, init_from, checkpoints),
            max_vocabulary=max_vocabulary,
            **options,
        )
        how = {"device": device, "threads": threads, "callbacks": callbacks}
        return arguments.trained(job, display, save_every=save_every, **how)


def load(
    run: PathLike | None = None, *, checkpoints: PathLike = CHECKPOINTS
) -> GeneratorRun | ClassifierRun:
    """Open a run of either kind by name or path; by default the newest that has weights."""
    return cast(GeneratorRun | ClassifierRun, resolve(Run, run, checkpoints))


def show(run: Run | PathLike | None = None, *, checkpoints: PathLike = CHECKPOINTS) -> str:
    """Return a run as text: facts, losses over time, options, the last previews."""
    opened = run if isinstance(run, Run) else Run.find(Path(checkpoints), run, trained=False)
    return report.report(opened)


def sample(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    temperatures: Sequence[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    num_samples: int = 1,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | PathLike | Sequence[PathLike] | None = None,
    **options: Unpack[SamplingOptions],
) -> Samples:
    """Generate texts, `num_samples` at each temperature.

    Args:
        run: A generator, its name or its path; None takes the newest.
        checkpoints: The directory of runs.
        temperatures: 0 always takes the most probable character; about 0.5-0.9 reads best.
        length: Characters of each text, at most.
        prompt: The text to continue; None takes a random excerpt of the held-out text.
        num_samples: Texts at each temperature.
        seed: The same seed gives the same texts; None draws one.
        unknown: Treatment of unknown characters of the prompt: `error`, `skip` or `fold`.
        corpus: The training text, or its place now, for `no_copy`; None takes the place where it was.
        options: Fields of `GenerationConfig`: `top_p=`, `stop=`, `regex=`, `no_copy=`, ...
    """
    opened, how = _prepared(sample, run, checkpoints, corpus, options, num_samples)
    how |= {"prompt": prompt, "seed": seed, "unknown": unknown}
    return generate.sample(opened, temperatures=temperatures, length=length, **how)


def stream(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    temperature: float | Sequence[float] = 0.8,
    length: int | None = 1000,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | PathLike | Sequence[PathLike] | None = None,
    **options: Unpack[GenerationOptions],
) -> Stream:
    """Generate one text piece by piece; arguments as for `sample`.

    Args:
        temperature: One temperature, or with `vary` several to cycle through.
        length: None never ends.

    Returns:
        An iterator of pieces of text, mostly one character each; `.start` has seed and prompt.
    """
    opened, how = _prepared(stream, run, checkpoints, corpus, options)
    how |= {"prompt": prompt, "seed": seed, "unknown": unknown}
    temperatures = temperature if isinstance(temperature, Sequence) else [temperature]
    return generate.stream(opened, temperatures=temperatures, length=length, **how)


def sweep(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    temperatures: Sequence[float] = sweeps.TEMPERATURES,
    length: int = 2000,
    num_samples: int = 4,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | PathLike | Sequence[PathLike] | None = None,
    **options: Unpack[SamplingOptions],
) -> Sweep:
    """Generate at many temperatures, and measure each beside the training and the held-out text.

    Args:
        run, checkpoints, temperatures, length, prompt, seed, unknown, options: As for `sample`.
        num_samples: Texts at each temperature; more give steadier numbers.
        corpus: The training text, or its place now; None takes the place where it was.

    Returns:
        Known and new words, repetition, copies; displays itself in notebooks.

    Raises:
        UsageError: The training text is missing, or as for all functions.
    """
    check_options(sweep, options, GenerationConfig)
    count = arguments.samples(num_samples, options)
    opened, config = resolve(GeneratorRun, run, checkpoints), GenerationConfig.of(options)
    text, temperatures = arguments.training_text(opened, corpus), check_temperatures(temperatures)
    how: dict[str, Any] = {"prompt": prompt, "seed": seed, "unknown": unknown, "config": config}
    return sweeps.sweep(opened, text, temperatures=temperatures, length=length, num_samples=count, **how)


def write(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    temperatures: Sequence[float] = (0.4, 0.7, 1.0),
    length: int = 80,
    num_samples: int = 1,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    adapt: bool = True,
    corpus: Corpus | PathLike | Sequence[PathLike] | None = None,
    **options: Unpack[SamplingOptions],
) -> Session:
    """Start a text that you and a run write in turns: `propose`, `pick`, `add`, `cut`, `undo`.

    Args:
        run, checkpoints, seed, unknown, corpus, options: As for `sample`, for each proposal.
        temperatures: One proposal at each.
        length: Characters of a proposal.
        num_samples: Proposals at each temperature.
        prompt: The beginning of the text; None takes a random excerpt of the held-out text.
        adapt: Whether the proposals adapt to the prompt and to what you add; `undo` takes that back too.
    """
    opened, how = _prepared(write, run, checkpoints, corpus, options, num_samples)
    how |= {"prompt": prompt, "seed": seed, "unknown": unknown, "adapt": adapt}
    return Session(opened, temperatures=temperatures, length=length, **how)


def _prepared(  # noqa: PLR0917 - arguments that three functions share
    function: Callable[..., Any],
    run: Run | PathLike | None,
    checkpoints: PathLike,
    corpus: Corpus | PathLike | Sequence[PathLike] | None,
    options: Any,
    num_samples: int | None = None,
) -> tuple[GeneratorRun, dict[str, Any]]:
    """Return the run, and the keyword arguments of all functions that generate."""
    check_options(function, options, GenerationConfig)
    count = {} if num_samples is None else {"num_samples": arguments.samples(num_samples, options)}
    opened, config = resolve(GeneratorRun, run, checkpoints), GenerationConfig.of(options)
    copied = config.no_copy is not None
    index = TextIndex(arguments.training_text(opened, corpus)) if copied else None
    return opened, {"config": config, "training": index, **count}


@overload
def evaluate(
    run: GeneratorRun,
    *,
    text: Corpus | PathLike | None = ...,
    encoding: str | None = ...,
    protocol: Literal["stream", "window"] = ...,
    window: int = ...,
    unknown: UnknownCost = ...,
    dynamic: float | bool | None = ...,
    mix: Mix | None = ...,
    progress: Progress | bool = ...,
) -> Evaluation: ...
@overload
def evaluate(run: ClassifierRun, *, progress: Progress | bool = ...) -> ClassifierEvaluation: ...
@overload
def evaluate(
    run: Run | PathLike | None = ...,
    *,
    checkpoints: PathLike = ...,
    text: Corpus | PathLike | None = ...,
    encoding: str | None = ...,
    protocol: Literal["stream", "window"] = ...,
    window: int = ...,
    unknown: UnknownCost = ...,
    dynamic: float | bool | None = ...,
    mix: Mix | None = ...,
    progress: Progress | bool = ...,
) -> Evaluation | ClassifierEvaluation: ...
def evaluate(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    text: Corpus | PathLike | None = None,
    encoding: str | None = None,
    protocol: Literal["stream", "window"] = "stream",
    window: int = scoring.WINDOW,
    unknown: UnknownCost = "charge",
    dynamic: float | bool | None = None,
    mix: Mix | None = None,
    progress: Progress | bool = False,
) -> Evaluation | ClassifierEvaluation:
    """Measure a run: how well a generator predicts a text, how often a classifier is right.

    Args:
        run, checkpoints: As for all functions.
        text: A file, a named corpus or a `Corpus`; None takes the run's held-out data. A classifier is
            measured on its held-out examples (`lstmega.classify.evaluate` takes others).
        encoding: The file's encoding; None means UTF-8 or the encoding of a byte-order mark.
        protocol: `stream` carries the state through the whole text; `window` starts from the zero state
            at each window.
        window: Characters that a window predicts.
        unknown: The cost of an unknown character: `charge` as much as any unseen code point, `skip`
            leaves it out.
        dynamic: Also measure a reader that adapts to the text, by the stream protocol: the learning rate
            of its correction, or True for the default. Each character is charged before it is learnt.
        mix: `none` measures the network alone; None the mixture with the n-gram model, where the run has
            one.
        progress: True displays the progress on stderr or in the notebook.

    Returns:
        The losses of a generator and its baselines, or accuracy and F1 scores of a classifier; both
        display themselves in notebooks.

    Raises:
        UsageError: Nothing was held out, there are fewer than two characters, or options exclude each
            other.
    """
    check_choice("--protocol", protocol, ("stream", "window"))
    rate = ADAPTATION_RATE if dynamic is True else None if dynamic is False else dynamic
    if rate is not None and protocol != "stream":
        raise UsageError(f"--dynamic needs --protocol stream. Received: --protocol {protocol}.")
    if mix is not None:
        check_choice("--mix", mix, get_args(Mix))
    opened = resolve(Run, run, checkpoints)
    if isinstance(opened, ClassifierRun):
        given = (text, encoding, protocol, window, unknown, rate, mix)
        if given != (None, None, "stream", scoring.WINDOW, "charge", None, None):
            raise UsageError(
                f"{opened.name} is a classifier. Received: options for the loss of a text. Accepted: no "
                "options, or lstmega classify evaluate --data for other examples."
            )
        return classify.evaluate(opened)
    opened = resolve(GeneratorRun, opened)
    training = opened.record.training
    if rate is not None and (training.lines or training.order == "windows"):
        raise UsageError(
            f"--dynamic needs a run that carries its state through the text. Received: {opened.name}, "
            f"{opened.record.reading}."
        )
    how: dict[str, Any] = {"unknown": unknown, "mix": mix}
    if rate is not None:
        return _look(generator.measure_dynamic, opened, text, encoding, progress, rate=rate, **how)
    how |= {"protocol": protocol, "window": window}
    return _look(generator.measure, opened, text, encoding, progress, **how)


def compare(
    runs: Sequence[Run | PathLike],
    *,
    checkpoints: PathLike = CHECKPOINTS,
    progress: Progress | bool = False,
) -> Comparison:
    """Measure several generators by both protocols, each on its held-out text.

    Args:
        runs: Runs, their names or their paths.
        checkpoints, progress: As for `evaluate`.

    Returns:
        For each run its size, losses, speed and the hash of the text that it was measured on.
    """
    with arguments.display(progress) as display:
        opened = (resolve(GeneratorRun, run, checkpoints) for run in runs)
        return Comparison(measured(run, display.reading) for run in opened)


def inspect(
    run: Run | PathLike | None = None,
    *,
    checkpoints: PathLike = CHECKPOINTS,
    text: Corpus | PathLike | None = None,
    encoding: str | None = None,
    characters: int | None = scoring.INSPECTED,
    top: int = 5,
    unknown: scoring.UnknownInText = "error",
    progress: Progress | bool = False,
) -> Inspection:
    """Show, for each character of a text, the model's prediction and its entropy.

    Args:
        run, checkpoints, text, encoding, progress: As for `evaluate`.
        characters: Read this many characters from the start; None reads all.
        top: Number of most probable characters to keep.
        unknown: `error` refuses a text with unknown characters, `skip` drops them.
    """
    how = {"characters": characters, "top": top, "unknown": unknown}
    opened = resolve(GeneratorRun, run, checkpoints)
    return _look(predictions.inspect, opened, text, encoding, progress, **how)


def unit(
    run: Run | PathLike | None = None,
    which: str | Unit = "1.1",
    *,
    checkpoints: PathLike = CHECKPOINTS,
    text: Corpus | PathLike | None = None,
    encoding: str | None = None,
    part: Part | None = None,
    characters: int | None = scoring.INSPECTED,
    unknown: scoring.UnknownInText = "error",
    progress: Progress | bool = False,
) -> UnitActivations:
    """Show the activations of one unit over a text.

    Args:
        run, checkpoints, text, encoding, characters, unknown, progress: As for `inspect`.
        which: `LAYER.UNIT`, both from 1.
        part: `memory` is tanh(c) of an LSTM, `hidden` the layer's output; None takes the memory where
            there is one.
    """
    how = {"which": which, "part": part, "characters": characters, "unknown": unknown}
    opened = resolve(GeneratorRun, run, checkpoints)
    return _look(activations.unit, opened, text, encoding, progress, **how)


def find(
    run: Run | PathLike | None = None,
    feature: str | Feature = "quotes",
    *,
    checkpoints: PathLike = CHECKPOINTS,
    text: Corpus | PathLike | None = None,
    encoding: str | None = None,
    part: Part | None = None,
    most: int = 10,
    characters: int | None = probing.SEARCHED,
    unknown: scoring.UnknownInText = "error",
    progress: Progress | bool = False,
) -> ProbeResult:
    """Search all units for those that correlate with a feature of the text.

    Args:
        run, checkpoints, text, encoding, characters, unknown, progress: As for `inspect`.
        feature: `quotes`, `brackets`, `depth`, `line`, `indent`, `words`, `uppercase`, `numbers`,
            `addresses`, or a function from a text to one number for each character.
        part: As for `unit`.
        most: Number of units to name.

    Raises:
        UsageError: A half of the text is without the feature, there is no such feature or part, or as
            for `inspect`.
    """
    how = {"feature": feature, "part": part, "most": most, "characters": characters, "unknown": unknown}
    opened = resolve(GeneratorRun, run, checkpoints)
    return _look(probing.find, opened, text, encoding, progress, **how)


def _look(
    function: Callable[..., ResultT],
    run: GeneratorRun,
    text: Corpus | PathLike | None,
    encoding: str | None,
    progress: Progress | bool,
    **how: Any,
) -> ResultT:
    with arguments.display(progress) as display:
        corpus = arguments.other_text(run, text, encoding, display)
        return function(run, text=corpus, progress=display.reading, **how)


def look_inside(
    run: Run | PathLike | None,
    *,
    unit: str | None,
    find: str | None,
    part: Part | None,
    characters: int | None,
    top: int,
    most: int,
    **options: Any,
) -> tuple[Inspection | UnitActivations | ProbeResult, Callable[[], Inspection | UnitActivations]]:
    """Compute the result of `lstmega inspect`: predictions, one unit, or a search.

    Returns:
        The result, and a function that returns the result that has a page.

    Raises:
        UsageError: `unit` and `find` are both given, or as for the three functions above.
    """
    if unit is not None and find is not None:
        raise UsageError("--unit shows one unit, --find searches all. Received: both.")
    if part is not None and unit is None and find is None:
        raise UsageError("--part applies to units. Received: neither --unit nor --find.")
    shown = scoring.INSPECTED if characters is None else characters
    if find is not None:
        searched = probing.SEARCHED if characters is None else characters
        found = _find(run, find, part=part, most=most, characters=searched, **options)
        return found, lambda: _unit(run, found.best, part=part, characters=shown, **options)
    view = (
        inspect(run, characters=shown, top=top, **options)
        if unit is None
        else _unit(run, unit, part=part, characters=shown, **options)
    )
    return view, lambda: view


_unit, _find = unit, find  # `look_inside` has arguments of these names
