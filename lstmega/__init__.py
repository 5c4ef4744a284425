"""Train a recurrent network on any text and write with it.

    import lstmega
    run = lstmega.train("nietzsche.txt", preset="small", seed=0)
    lstmega.sample(run, temperatures=[0.5, 0.8], length=400)

Names load on first use: `import lstmega` is quick, and only `train` brings TensorFlow.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "train": "api",
    "load": "api",
    "sample": "api",
    "stream": "api",
    "sweep": "api",
    "write": "api",
    "evaluate": "studies",
    "compare": "studies",
    "inspect": "studies",
    "unit": "studies",
    "find": "studies",
    "Corpus": "data.corpus",
    "read": "data.corpus",
    "LstmegaError": "errors",
    "Run": "runs.run",
    "Vocabulary": "data.vocabulary",
}

__all__ = [*_HOMES]  # noqa: PLE0604 - names of the table above


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("lstmega")
    if name not in _HOMES:
        raise AttributeError(f"module 'lstmega' has no attribute {name!r}")
    value = getattr(import_module(f"lstmega.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
