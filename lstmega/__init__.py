"""Train a recurrent network on any text, and generate text with it.

    import lstmega
    run = lstmega.train("nietzsche.txt", preset="small", seed=0)
    lstmega.sample(run, temperatures=[0.5, 0.8], length=400)

Names load on first use: `import lstmega` is quick, and only training brings TensorFlow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lstmega import classify as classify
    from lstmega.api import compare as compare
    from lstmega.api import evaluate as evaluate
    from lstmega.api import find as find
    from lstmega.api import inspect as inspect
    from lstmega.api import load as load
    from lstmega.api import sample as sample
    from lstmega.api import show as show
    from lstmega.api import stream as stream
    from lstmega.api import sweep as sweep
    from lstmega.api import train as train
    from lstmega.api import unit as unit
    from lstmega.api import write as write
    from lstmega.data.corpus import Corpus as Corpus
    from lstmega.data.corpus import read as read
    from lstmega.data.vocabulary import Vocabulary as Vocabulary
    from lstmega.errors import CorpusError as CorpusError
    from lstmega.errors import DamageError as DamageError
    from lstmega.errors import DownloadError as DownloadError
    from lstmega.errors import LstmegaError as LstmegaError
    from lstmega.errors import PromptError as PromptError
    from lstmega.errors import RunError as RunError
    from lstmega.errors import Stopped as Stopped
    from lstmega.errors import TrainingError as TrainingError
    from lstmega.errors import UsageError as UsageError
    from lstmega.evaluation.classifier import ClassifierEvaluation as ClassifierEvaluation
    from lstmega.evaluation.classifier import Predictions as Predictions
    from lstmega.evaluation.comparison import Comparison as Comparison
    from lstmega.evaluation.generator import Evaluation as Evaluation
    from lstmega.evaluation.sweep import Sweep as Sweep
    from lstmega.inference.outputs import Samples as Samples
    from lstmega.inference.session import Session as Session
    from lstmega.runs.run import ClassifierRun as ClassifierRun
    from lstmega.runs.run import GeneratorRun as GeneratorRun
    from lstmega.runs.run import Run as Run

    __version__: str

_MODULES = {
    "api": "compare evaluate find inspect load sample show stream sweep train unit write",
    "data.corpus": "Corpus read",
    "data.vocabulary": "Vocabulary",
    "errors": "CorpusError DamageError DownloadError LstmegaError PromptError RunError Stopped "
    "TrainingError UsageError",
    "evaluation.classifier": "ClassifierEvaluation Predictions",
    "evaluation.comparison": "Comparison",
    "evaluation.generator": "Evaluation",
    "evaluation.sweep": "Sweep",
    "inference.outputs": "Samples",
    "inference.session": "Session",
    "runs.run": "ClassifierRun GeneratorRun Run",
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = ["classify", *_HOMES]  # noqa: PLE0604 - names of the table above


if not TYPE_CHECKING:  # a type checker must not believe that every name exists

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return import_module("lstmega.runs.job").versions()["lstmega"]
        if name == "classify":
            return import_module("lstmega.classify")
        if name not in _HOMES:
            raise AttributeError(f"module 'lstmega' has no attribute {name!r}")
        value = getattr(import_module(f"lstmega.{_HOMES[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
