"""The verbs that train and write, for Python: the same names and defaults as on the command line."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lstmega import arguments as givens
from lstmega.arguments import Where
from lstmega.config.options import WritingOptions
from lstmega.config.presets import PRESETS, resolve
from lstmega.data.corpus import CORPORA, Corpus, Tokens
from lstmega.data.suffix_array import Index
from lstmega.data.vocabulary import UnknownPolicy
from lstmega.display.progress import Progress
from lstmega.evaluation import sweep as sweeps
from lstmega.evaluation.sweep import Sweep
from lstmega.inference import generate as sampling
from lstmega.inference.outputs import Samples, Stream
from lstmega.inference.session import Session
from lstmega.inference.temperature import check_temperatures
from lstmega.runs import generator_job as jobs
from lstmega.runs.run import Run

if TYPE_CHECKING:
    import keras

    from lstmega.nn.devices import DeviceChoice


def train(
    corpus: Corpus | Where | Sequence[Where],
    *,
    preset: str | None = None,
    run: Where | None = None,
    checkpoints: Where = jobs.CHECKPOINTS,
    encoding: str | None = None,
    glob: str | None = None,
    tokens: Tokens | None = None,
    keep_line_ends: bool | None = None,
    lower: bool | None = None,
    corpora: Where = CORPORA,
    max_vocabulary: int | None = None,
    resume: bool | None = None,
    init_from: Run | Where | None = None,
    save_every: int | None = None,
    device: "DeviceChoice" = "auto",
    threads: int | None = None,
    callbacks: "Sequence[keras.callbacks.Callback]" = (),
    progress: Progress | bool = True,
    **options: Any,
) -> Run:
    """Train a model on a text.

    Args:
        corpus: A file, a directory, a named corpus (`nietzsche`, `tinyshakespeare`, `pydoc`), several
            of these, or a `Corpus`.
        preset: `tiny`, `small`, `notebook` or `large`; None is what suits `minutes`, else `small`, and
            for a run that goes on what it was begun with.
        run: The run's name below `checkpoints`, or a path; None makes one of text and time.
        checkpoints: The directory of runs.
        encoding: The text's encoding; None means UTF-8 or what a byte-order mark says.
        glob: Which files of a directory; None means `**/*.txt`.
        tokens: `char` (as None) for code points, `byte` for any file.
        keep_line_ends: Do not turn CRLF and CR into LF.
        lower: Turn the text into lower case; None as the preset does, a `Corpus` is left as it is.
        corpora: Where named corpora are kept.
        max_vocabulary: Keep this many tokens; the rest become `<unk>`.
        resume: None goes on where `run` stopped, if it exists; True, without `run`, with the newest
            unfinished run on this text; False never.
        init_from: A run whose best weights a new run starts from, on this or another text.
        save_every: Steps between saved states; None saves about every minute and at validations.
        device: `auto`, `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; None takes the cores.
        callbacks: Keras callbacks; they see `loss` and `val_loss` in nats per character. What they
            remember themselves is not saved with the run's state.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.
        options: Fields of `ModelOptions` and `TrainingOptions`: `units=`, `epochs=`, `minutes=`, ...

    Returns:
        The finished run.

    Raises:
        UsageError: An option, the text or the run's name cannot be used as given.
        TrainingError: The loss became NaN or infinite.
        Stopped: A signal came; everything is saved, and the same call with `run=` goes on.
    """
    listener = givens.listener(progress)
    choices = {
        "encoding": encoding,
        "glob": glob,
        "tokens": tokens,
        "keep_line_ends": keep_line_ends,
        "lower": lower or (not isinstance(corpus, Corpus) and _lowers(preset)) or None,
    }
    given = {name: value for name, value in choices.items() if value is not None}
    resolve(preset, options)  # a wrong option is told before a text is read or downloaded
    try:
        job = jobs.prepare(
            givens.corpus(corpus, given, corpora, listener),
            preset=preset,
            run=run,
            checkpoints=checkpoints,
            resume=resume,
            init_from=None if init_from is None else givens.run(init_from, checkpoints),
            max_vocabulary=max_vocabulary,
            **options,
        )
        finished: Run = givens.trained(
            job,
            jobs.renewed,
            device=device,
            threads=threads,
            save_every=save_every,
            users=callbacks,
            progress=listener,
        )
        return finished
    finally:
        listener.end()


def _lowers(preset: str | None) -> bool:
    """Return whether a preset is for text in lower case."""
    return preset is not None and preset in PRESETS and PRESETS[preset].lower


def load(run: Where | None = None, *, checkpoints: Where = jobs.CHECKPOINTS) -> Run:
    """Open a run by name or path; without either, the newest that has weights.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged.
    """
    return givens.run(run, checkpoints)


def sample(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperatures: Sequence[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    count: int = 1,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | Where | Sequence[Where] | None = None,
    **options: Any,
) -> Samples:
    """Write texts with a run, one for each temperature and repeat.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        temperatures: 0 is the likeliest character always; about 0.5-0.9 reads best.
        length: Characters of each text, at most.
        prompt: What the text goes on from; None takes a random excerpt of the held-out text.
        count: Texts for each temperature.
        seed: The same seed gives the same texts; None draws one.
        unknown: What to do with characters of the prompt that the run does not know: `error`, `skip`
            or `fold`.
        corpus: The text that the run was trained on, or where it is now, for `no_copy`; None looks
            where it was.
        options: Fields of `WritingOptions`: `top_p=`, `stop=`, `regex=`, `no_copy=`, ...

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters.
    """
    opened, chosen = givens.run(run, checkpoints), WritingOptions.of(options)
    return sampling.sample(
        opened,
        temperatures=temperatures,
        length=length,
        prompt=prompt,
        count=count,
        seed=seed,
        unknown=unknown,
        options=chosen,
        training=Index(givens.training_text(opened, corpus)) if chosen.no_copy else None,
    )


def stream(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperature: float | Sequence[float] = 0.8,
    length: int | None = 1000,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | Where | Sequence[Where] | None = None,
    **options: Any,
) -> Stream:
    """Write one text piece by piece; arguments as for `sample`.

    Args:
        temperature: One, or with `vary` those to go through.
        length: None never ends.

    Returns:
        An iterator of pieces of text, mostly one character each; `.start` has seed and prompt.
    """
    opened, chosen = givens.run(run, checkpoints), WritingOptions.of(options)
    return sampling.stream(
        opened,
        temperatures=temperature if isinstance(temperature, Sequence) else [temperature],
        length=length,
        prompt=prompt,
        seed=seed,
        unknown=unknown,
        options=chosen,
        training=Index(givens.training_text(opened, corpus)) if chosen.no_copy else None,
    )


def sweep(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperatures: Sequence[float] = sweeps.TEMPERATURES,
    length: int = 2000,
    count: int = 4,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | Where | Sequence[Where] | None = None,
    **options: Any,
) -> Sweep:
    """Write at many temperatures, and measure each beside the training text and the held-out text.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        temperatures: Each at least 0.
        length: Characters of each text.
        count: Texts at each temperature; more make steadier numbers.
        prompt: What all texts go on from; None takes a random excerpt of the held-out text.
        seed: The same seed gives the same texts; None draws one.
        unknown: What to do with characters of the prompt that the run does not know.
        corpus: The text that the run was trained on, or where it is now; None looks where it was.
        options: Fields of `WritingOptions`.

    Returns:
        Words known and new, repetition, copies; shows itself in notebooks.

    Raises:
        UsageError: An argument is out of bounds, or the training text is not there any more.
    """
    opened, chosen = givens.run(run, checkpoints), WritingOptions.of(options)
    return sweeps.sweep(
        opened,
        givens.training_text(opened, corpus),
        temperatures=check_temperatures(temperatures),
        length=length,
        count=count,
        prompt=prompt,
        seed=seed,
        unknown=unknown,
        options=chosen,
    )


def write(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperatures: Sequence[float] = (0.4, 0.7, 1.0),
    length: int = 80,
    count: int = 1,
    prompt: str | None = None,
    seed: int | None = None,
    unknown: UnknownPolicy = "error",
    corpus: Corpus | Where | Sequence[Where] | None = None,
    **options: Any,
) -> Session:
    """Begin a text that you and a run go on with in turns: `propose`, `pick`, `add`, `cut`, `undo`.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        temperatures: One proposal at each.
        length: Characters of a proposal.
        count: Proposals at each temperature.
        prompt: What the text begins with; None takes a random excerpt of the held-out text.
        seed: The same seed and the same steps give the same text; None draws one.
        unknown: What to do with characters that the run does not know.
        corpus: The text that the run was trained on, or where it is now, for `no_copy`; None looks
            where it was.
        options: Fields of `WritingOptions`; they hold for each proposal.

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters.
    """
    opened, chosen = givens.run(run, checkpoints), WritingOptions.of(options)
    return Session(
        opened,
        temperatures=temperatures,
        length=length,
        count=count,
        prompt=prompt,
        seed=seed,
        unknown=unknown,
        options=chosen,
        training=Index(givens.training_text(opened, corpus)) if chosen.no_copy else None,
    )
