"""Fixtures that several test modules use."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# In the background SIGINT or SIGHUP may be ignored, and the processes of tests would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# A busy machine draws slowly; that says nothing about the code.
hypothesis.settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("any machine")

REPOSITORY = Path(__file__).resolve().parents[1]


CACHE = pytest.StashKey[tempfile.TemporaryDirectory]()


def pytest_configure(config):
    """Keep what XLA compiles for all processes of the suite, and out of the user's home.

    Each parallel worker has its own cores: TensorFlow's threads of two workers hinder each other.
    """
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if not worker:
        config.stash[CACHE] = tempfile.TemporaryDirectory(prefix="lstmega-cache-")
        os.environ["LSTMEGA_CACHE"] = config.stash[CACHE].name
    if worker and hasattr(os, "sched_setaffinity"):
        number, count = int(worker.removeprefix("gw")), int(os.environ["PYTEST_XDIST_WORKER_COUNT"])
        os.sched_setaffinity(
            0, sorted(os.sched_getaffinity(0))[number::count] or os.sched_getaffinity(0)
        )


def pytest_unconfigure(config):
    if CACHE in config.stash:
        config.stash[CACHE].cleanup()


@pytest.fixture(scope="session")
def corpora_directory() -> Path:
    """The directory of real texts: `LSTMEGA_CORPORA`, else `../shared/corpora`."""
    given = os.environ.get("LSTMEGA_CORPORA")
    directory = Path(given) if given else REPOSITORY.parent / "shared" / "corpora"
    if not directory.is_dir():
        pytest.skip(f"no real texts at {directory}; set LSTMEGA_CORPORA")
    return directory


@pytest.fixture(scope="session")
def real_corpus(corpora_directory: Path) -> Callable[[str], Path]:
    """A function from a name below the directory of real texts to its path."""

    def find(name: str) -> Path:
        path = corpora_directory / name
        if not path.is_file():
            pytest.skip(f"no real text {path}")
        return path

    return find


@pytest.fixture(scope="session")
def datasets_directory() -> Path:
    """The directory of labelled data: `LSTMEGA_DATASETS`, else `datasets` beside the real texts."""
    given = os.environ.get("LSTMEGA_DATASETS")
    texts = Path(os.environ.get("LSTMEGA_CORPORA") or REPOSITORY.parent / "shared" / "corpora")
    directory = Path(given) if given else texts.parent / "datasets"
    if not directory.is_dir():
        pytest.skip(f"no labelled data at {directory}; set LSTMEGA_DATASETS")
    return directory


TEXT = (
    "The owl and the pussy-cat went to sea.\nIn a beautiful pea-green boat, they took some honey.\n" * 20
)


@pytest.fixture(scope="session")
def text() -> str:
    """A text that a tiny model can learn something from."""
    return TEXT


@pytest.fixture(scope="session")
def tiny_run_directory(tmp_path_factory: pytest.TempPathFactory, text: str) -> Path:
    """A run that was trained for a few steps; do not change it: copy it (`tiny_run`)."""
    import lstmega

    checkpoints = tmp_path_factory.mktemp("checkpoints")
    return lstmega.train(
        lstmega.Corpus.from_text(text, name="owl"), checkpoints=checkpoints, **TINY
    ).path


TINY = {
    "preset": "tiny",
    "units": 12,
    "embedding": 5,
    "batch_size": 4,
    "sequence_length": 16,
    "steps": 60,
    "run": "owl",
}


def reseal(run, **changes):
    """Change run.json as somebody would who knows how it is sealed."""
    import json

    from lstmega.runs import directory as directories
    from lstmega.runs import schema

    content = json.loads((run.path / "run.json").read_bytes())
    del content["schema"], content["sha256"]
    (run.path / "run.json").write_bytes(schema.seal(content | changes, directories.SCHEMA))


@pytest.fixture
def tiny_run(tiny_run_directory: Path, tmp_path: Path):
    """A fresh copy of the trained run."""
    from lstmega.runs.run import GeneratorRun

    return GeneratorRun.open(shutil.copytree(tiny_run_directory, tmp_path / "checkpoints" / "owl"))
