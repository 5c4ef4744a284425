"""The verbs, for Python: the same names and defaults as on the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lstmega import evaluation, jobs, reports, runs, sampling
from lstmega.corpus import CORPORA, Corpus, Tokens, read
from lstmega.errors import UsageError
from lstmega.evaluation import Evaluation, UnknownRule
from lstmega.presets import resolve
from lstmega.progress import Progress, on
from lstmega.runs import Run
from lstmega.sampling import Samples, Stream
from lstmega.vocabulary import UnknownPolicy

if TYPE_CHECKING:
    import keras

    from lstmega.devices import DeviceChoice

Where = str | Path


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
    listener = _listener(progress)
    choices = {
        "encoding": encoding,
        "glob": glob,
        "tokens": tokens,
        "keep_line_ends": keep_line_ends,
    }
    given = {name: value for name, value in choices.items() if value is not None}
    resolve(preset, options)  # a wrong option is told before a text is read or downloaded
    try:
        job = jobs.prepare(
            _corpus(corpus, given, corpora, listener),
            preset=preset,
            run=run,
            checkpoints=checkpoints,
            resume=resume,
            init_from=None if init_from is None else _opened(init_from, checkpoints),
            max_vocabulary=max_vocabulary,
            **options,
        )
        with runs.locked(job.path):
            job = jobs.renewed(job)  # as the process that held the lock before us left it
            if job.run is not None and job.finished:
                listener.note(reports.nothing_to_do(job.run))
                return job.run
            from lstmega import training

            return training.train(
                job,
                device=device,
                threads=threads,
                save_every=save_every,
                users=callbacks,
                progress=listener,
            )
    finally:
        listener.end()


def _corpus(
    corpus: Corpus | Where | Sequence[Where], given: dict[str, Any], corpora: Where, listener: Progress
) -> Corpus:
    if not isinstance(corpus, Corpus):
        sources = [corpus] if isinstance(corpus, str | Path) else corpus
        return read(sources, corpora=Path(corpora), progress=listener.download, **given)
    if given:
        raise UsageError(f"A Corpus has been read already. Received also: {', '.join(given)}.")
    return corpus


def _listener(progress: Progress | bool) -> Progress:
    if isinstance(progress, Progress):
        return progress
    return on(sys.stderr) if progress else Progress()


def load(run: Where | None = None, *, checkpoints: Where = jobs.CHECKPOINTS) -> Run:
    """Open a run by name or path; without either, the newest that has weights.

    Raises:
        UsageError: There is no such run.
        RunError: It is damaged.
    """
    return runs.find(Path(checkpoints), run)


def sample(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperatures: Sequence[float] = (0.5, 0.8),
    length: int = 1000,
    prompt: str | None = None,
    count: int = 1,
    seed: int | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    min_p: float | None = None,
    stop: str | None = None,
    unknown: UnknownPolicy = "error",
) -> Samples:
    """Write texts with a run, one for each temperature and repeat.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        temperatures: 0 is the likeliest character always; about 0.5-0.9 reads best.
        length: Characters of each text.
        prompt: What the text goes on from; None takes a random excerpt of the held-out text.
        count: Texts for each temperature.
        seed: The same seed gives the same texts; None draws one.
        top_k: Only the k likeliest characters.
        top_p: Only the likeliest characters that together have this probability.
        min_p: Only characters with at least this share of the likeliest one's probability.
        stop: A text ends where this appears.
        unknown: What to do with characters of the prompt that the run does not know: `error`, `skip`
            or `fold`.

    Raises:
        UsageError: An argument is out of bounds.
        PromptError: The prompt has unknown characters.
    """
    return sampling.sample(
        _opened(run, checkpoints),
        temperatures=temperatures,
        length=length,
        prompt=prompt,
        count=count,
        seed=seed,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        stop=stop,
        unknown=unknown,
    )


def stream(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    temperature: float = 0.8,
    length: int | None = 1000,
    **options: Any,
) -> Stream:
    """Write one text piece by piece; arguments as for `sample`, `length=None` never ends.

    Returns:
        An iterator of pieces of text, mostly one character each; `.start` has seed and prompt.
    """
    opened = _opened(run, checkpoints)
    return sampling.stream(opened, temperature=temperature, length=length, **options)


def evaluate(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    text: Corpus | Where | None = None,
    encoding: str | None = None,
    protocol: Literal["stream", "window"] = "stream",
    window: int = 64,
    unknown: UnknownRule = "charge",
    dynamic: float | None = None,
    progress: Progress | bool = False,
) -> Evaluation:
    """Measure how well a run predicts a text.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        text: A file, a named corpus or a `Corpus`; None is the run's held-out tail.
        encoding: The file's encoding; None means UTF-8 or what a byte-order mark says.
        protocol: `stream` carries the state through the whole text; `window` starts from the zero
            state at each window, as is the habit with models that have no state.
        window: Characters that a window predicts.
        unknown: What an unknown character costs: `charge` as much as any unseen code point, `skip`
            nothing, and it is left out.
        dynamic: Let a copy of the model go on learning from the text, at this learning rate, after
            each 32 characters that it has predicted; by the stream protocol, with TensorFlow.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.

    Returns:
        Losses, and beside them what simple models of the same text reach; shows itself in notebooks.

    Raises:
        UsageError: Nothing was held out, there are fewer than two characters, or options exclude each
            other.
    """
    if dynamic is not None and protocol != "stream":
        raise UsageError(f"--dynamic needs --protocol stream. Received: --protocol {protocol}.")
    if protocol not in ("stream", "window"):
        raise UsageError(f"--protocol must be stream or window. Received: {protocol!r}.")
    opened, listener = _opened(run, checkpoints), _listener(progress)
    with listener:
        corpus = None if text is None else _foreign(opened, text, encoding, listener)
        if dynamic is not None:
            from lstmega.adaptation import Adapted

            reader = Adapted(opened, dynamic, listener.reading)
            return evaluation.read_by(
                opened, corpus, reader, unknown=unknown, protocol="dynamic", rate=dynamic
            )
        return evaluation.measure(
            opened,
            corpus,
            protocol=protocol,
            window=window,
            unknown=unknown,
            done=listener.reading,
        )


def _foreign(run: Run, text: Corpus | Where, encoding: str | None, listener: Progress) -> Corpus:
    """Read a text as the run's own was read."""
    info = run.record.text
    how = {"encoding": encoding, "tokens": info.tokens, "keep_line_ends": info.line_ends == "kept"}
    given = {"encoding": encoding} if isinstance(text, Corpus) else how
    return _corpus(text, {name: value for name, value in given.items() if value}, CORPORA, listener)


def compare(
    runs: Sequence[Run | Where],
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    progress: Progress | bool = False,
) -> list[dict[str, Any]]:
    """Measure several runs by both protocols, each on its held-out text.

    Args:
        runs: Each a `Run`, its name or its path.
        checkpoints: The directory of runs.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.

    Returns:
        For each run its size, losses, speed and the hash of the text it was measured on.
    """
    with _listener(progress) as listener:
        return [reports.comparison(_opened(run, checkpoints), listener.reading) for run in runs]


def _opened(run: Run | Where | None, checkpoints: Where) -> Run:
    return run if isinstance(run, Run) else load(run, checkpoints=checkpoints)
