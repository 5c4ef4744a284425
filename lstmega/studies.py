"""The verbs that measure and look inside, for Python: names and defaults as on the command line."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from lstmega import arguments as givens
from lstmega.arguments import Where
from lstmega.data.corpus import Corpus
from lstmega.display.progress import Progress
from lstmega.errors import UsageError
from lstmega.evaluation import activations as units
from lstmega.evaluation import generator as evaluation
from lstmega.evaluation import predictions as inspection
from lstmega.evaluation import probing as findings
from lstmega.evaluation import readings
from lstmega.evaluation.activations import Part, Unit, UnitView
from lstmega.evaluation.comparison import Comparison, measured
from lstmega.evaluation.features import Track
from lstmega.evaluation.generator import Evaluation, UnknownRule
from lstmega.evaluation.predictions import Inspection
from lstmega.evaluation.probing import Findings
from lstmega.runs import generator_job as jobs
from lstmega.runs.run import Run


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
    opened, listener = givens.run(run, checkpoints), givens.listener(progress)
    training = opened.record.training
    if dynamic is not None and (training.lines or training.order == "windows"):
        raise UsageError(f"--dynamic needs a run that reads on. {opened.name}: {opened.record.reading}.")
    with listener:
        corpus = givens.foreign(opened, text, encoding, listener)
        if dynamic is not None:
            from lstmega.training.dynamic_evaluation import Adapted

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


def compare(
    runs: Sequence[Run | Where],
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    progress: Progress | bool = False,
) -> Comparison:
    """Measure several runs by both protocols, each on its held-out text.

    Args:
        runs: Each a `Run`, its name or its path.
        checkpoints: The directory of runs.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.

    Returns:
        For each run its size, losses, speed and the hash of the text it was measured on.
    """
    with givens.listener(progress) as listener:
        return Comparison(measured(givens.run(run, checkpoints), listener.reading) for run in runs)


def inspect(
    run: Run | Where | None = None,
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    text: Corpus | Where | None = None,
    encoding: str | None = None,
    characters: int | None = 2000,
    top: int = 5,
    unknown: readings.UnknownRule = "error",
    progress: Progress | bool = False,
) -> Inspection:
    """Show for each character of a text what the model expected in its place.

    Args:
        run: A `Run`, its name or its path; None is the newest.
        checkpoints: The directory of runs.
        text: A file, a named corpus or a `Corpus`; None is the run's held-out tail.
        encoding: The file's encoding; None means UTF-8 or what a byte-order mark says.
        characters: Read the first ones only; None reads all.
        top: How many of the likeliest characters to keep.
        unknown: `error` refuses a text with characters that the run does not know, `skip` drops them.
        progress: True shows it on stderr or in the notebook, False is silent, a `Progress` hears.

    Raises:
        UsageError: The text cannot be read by this run, or an option is out of bounds.
    """
    opened = givens.run(run, checkpoints)
    with givens.listener(progress) as listener:
        corpus = givens.foreign(opened, text, encoding, listener)
        return inspection.inspect(
            opened, corpus, characters=characters, top=top, unknown=unknown, done=listener.reading
        )


def unit(
    run: Run | Where | None = None,
    which: str | Unit = "1.1",
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    text: Corpus | Where | None = None,
    encoding: str | None = None,
    part: Part | None = None,
    characters: int | None = 2000,
    unknown: readings.UnknownRule = "error",
    progress: Progress | bool = False,
) -> UnitView:
    """Show what one unit does while a text is read.

    Args:
        run, checkpoints, text, encoding, characters, unknown, progress: As for `inspect`.
        which: `LAYER.UNIT`, both from 1.
        part: `memory` is tanh(c) of an LSTM, `hidden` what the layer passes on; None is the memory
            where there is one.

    Raises:
        UsageError: There is no such unit or part, or as for `inspect`.
    """
    opened = givens.run(run, checkpoints)
    with givens.listener(progress) as listener:
        corpus = givens.foreign(opened, text, encoding, listener)
        return units.unit(
            opened,
            which,
            corpus,
            part=part,
            characters=characters,
            unknown=unknown,
            done=listener.reading,
        )


def find(
    run: Run | Where | None = None,
    feature: str | Track = "quotes",
    *,
    checkpoints: Where = jobs.CHECKPOINTS,
    text: Corpus | Where | None = None,
    encoding: str | None = None,
    part: Part | None = None,
    most: int = 10,
    characters: int | None = 100_000,
    unknown: readings.UnknownRule = "error",
    progress: Progress | bool = False,
) -> Findings:
    """Search all units for those that follow a feature of a text.

    Args:
        run, checkpoints, text, encoding, characters, unknown, progress: As for `inspect`.
        feature: `quotes`, `brackets`, `depth`, `line`, `indent`, `words`, `uppercase`, `numbers`,
            `addresses`, or a function from a text to one number for each character.
        part: As for `unit`.
        most: How many units to name.

    Raises:
        UsageError: A half of the text is without the feature, there is no such feature or part, or as
            for `inspect`.
    """
    opened = givens.run(run, checkpoints)
    with givens.listener(progress) as listener:
        corpus = givens.foreign(opened, text, encoding, listener)
        return findings.find(
            opened,
            feature,
            corpus,
            part=part,
            most=most,
            characters=characters,
            unknown=unknown,
            done=listener.reading,
        )


def look(
    run: Run | Where | None,
    *,
    unit: str | None,
    find: str | None,
    part: Part | None,
    characters: int | None,
    top: int,
    most: int,
    **options: Any,
) -> tuple[Inspection | UnitView | Findings, Callable[[], Inspection | UnitView]]:
    """Do what `lstmega inspect` asks for.

    Returns:
        The result, and what makes that of it which has a page.

    Raises:
        UsageError: `unit` and `find` are both there, or as for the three verbs above.
    """
    if unit is not None and find is not None:
        raise UsageError("--unit shows one unit, --find searches all. Received: both.")
    if find is None and unit is None:
        if part is not None:
            raise UsageError("--part is about units. Received: neither --unit nor --find.")
        seen = inspect(run, characters=characters or 2000, top=top, **options)
        return seen, lambda: seen
    if find is None:
        view = _unit(run, unit or "", part=part, characters=characters or 2000, **options)
        return view, lambda: view
    found = _find(run, find, part=part, most=most, characters=characters or 100_000, **options)
    return found, lambda: _unit(run, found.best, part=part, characters=characters or 2000, **options)


_unit, _find = unit, find  # `look` has arguments of these names
