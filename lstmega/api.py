"""The verbs, for Python: the same names and defaults as on the command line."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lstmega import corpus as corpora
from lstmega import jobs, runs, sampling
from lstmega.corpus import Corpus, Tokens
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
    preset: str = "small",
    run: Where | None = None,
    checkpoints: Where = jobs.CHECKPOINTS,
    encoding: str | None = None,
    glob: str = "**/*.txt",
    tokens: Tokens = "char",
    keep_line_ends: bool = False,
    max_vocabulary: int | None = None,
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
        preset: `tiny`, `small`, `notebook` or `large`.
        run: The run's name below `checkpoints`, or a path; None makes one of text and time.
        checkpoints: The directory of runs.
        encoding: The text's encoding; None means UTF-8 or what a byte-order mark says.
        glob: Which files of a directory.
        tokens: `char` for code points, `byte` for any file.
        keep_line_ends: Do not turn CRLF and CR into LF.
        max_vocabulary: Keep this many tokens; the rest become `<unk>`.
        device: `auto`, `cpu` or `gpu`.
        threads: Threads of one operation on the CPU; None takes the cores.
        callbacks: Keras callbacks; they see `loss` and `val_loss` in nats per character.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.
        options: Fields of `ModelOptions` and `TrainingOptions`: `units=`, `epochs=`, `minutes=`, ...

    Returns:
        The finished run.

    Raises:
        UsageError: An option, the text or the run's name cannot be used as given.
        TrainingError: The loss became NaN or infinite.
    """
    listener = progress if isinstance(progress, Progress) else _listener(progress)
    if not isinstance(corpus, Corpus):
        sources = [corpus] if isinstance(corpus, str | Path) else corpus
        corpus = corpora.read(
            sources,
            encoding=encoding,
            glob=glob,
            tokens=tokens,
            keep_line_ends=keep_line_ends,
            progress=listener.download,
        )
    job = jobs.prepare(
        corpus, preset=preset, run=run, checkpoints=checkpoints, max_vocabulary=max_vocabulary, **options
    )
    from lstmega import devices  # noqa: F401, I001 - first, because it imports TensorFlow quietly
    from lstmega import training

    return training.train(job, device=device, threads=threads, callbacks=callbacks, progress=listener)


def _listener(shown: bool) -> Progress:
    return on(sys.stderr) if shown else Progress()


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


def _opened(run: Run | Where | None, checkpoints: Where) -> Run:
    return run if isinstance(run, Run) else load(run, checkpoints=checkpoints)
