"""The house: who may import whom, held as data (the table of CONTRIBUTING.md)."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lstmega

PACKAGE = Path(lstmega.__file__).parent
LAYERS = [
    {"errors"},
    {
        "files", "schema", "options", "presets", "downloads", "encodings", "sources", "corpus",
        "vocabulary", "lines", "windows", "lanes", "classifier_options", "labelled", "vectors",
        "words", "examples", "classifier", "confusion", "schedule", "locks", "records", "clocks",
        "signals", "checks", "weights", "decoder", "display", "scores", "yardsticks", "axes",
        "curves", "coloured", "surprisal", "galleries", "exports", "copies", "analysis", "tracks",
        "history", "filters", "temperatures", "automata", "patterns", "texts", "transcripts",
    },
    {
        "directories", "beginnings", "runs", "classifier_runs", "states", "origins", "samplers",
        "rules", "sampling", "writing", "sweeps", "readings", "inspection", "units", "findings",
        "evaluation", "comparisons", "reports", "classifier_reports", "jobs", "classifier_jobs",
        "verdicts", "progress",
    },
    {"devices", "batches", "loops", "recurrent", "noise", "model", "steps", "classifier_model"},
    {
        "validation", "adaptation", "callbacks", "checkpoints", "previews", "learners",
        "classifier_learner",
    },
    {"training"},
    {
        "givens", "api", "studies", "classify", "flags", "terminal", "cli_classify", "cli_runs",
        "cli_studies", "cli_write", "cli", "__init__", "__main__",
    },
]  # fmt: skip
INSIDE = {  # imports within one layer
    "downloads": {"files"},
    "transcripts": {"files"},
    "sources": {"downloads"},
    "corpus": {"downloads", "encodings", "sources"},
    "options": {"checks"},
    "presets": {"checks", "classifier_options", "options"},
    "lanes": {"options"},
    "lines": {"lanes"},
    "windows": {"lanes"},
    "classifier_options": {"options"},
    "labelled": {"corpus", "encodings", "sources", "vectors"},
    "words": {"vocabulary"},
    "examples": {"lines"},
    "classifier": {"classifier_options", "decoder", "scores"},
    "confusion": {"axes", "display"},
    "classifier_runs": {"directories"},
    "classifier_reports": {"classifier_runs", "reports"},
    "classifier_jobs": {"beginnings", "classifier_reports", "classifier_runs", "directories"},
    "verdicts": {"classifier_runs"},
    "classifier_model": {"devices", "model", "noise", "steps"},
    "classifier_learner": {"learners"},
    "classify": {"givens"},
    "cli_classify": {"classify", "flags", "terminal"},
    "records": {"classifier_options", "display", "options", "yardsticks"},
    "runs": {"directories"},
    "scores": {"decoder"},
    "axes": {"display"},
    "curves": {"axes", "display", "exports", "records"},
    "analysis": {"copies"},
    "galleries": {"axes", "coloured", "display"},
    "filters": {"history", "scores"},
    "temperatures": {"checks", "history", "options"},
    "patterns": {"automata"},
    "texts": {"display", "exports"},
    "surprisal": {"coloured"},
    "coloured": {"display"},
    "exports": {"files"},
    "readings": {"runs"},
    "inspection": {"readings", "runs"},
    "units": {"readings", "runs"},
    "findings": {"readings", "runs", "units"},
    "evaluation": {"runs"},
    "comparisons": {"evaluation", "runs"},
    "decoder": {"options"},
    "rules": {"samplers"},
    "sampling": {"rules", "samplers"},
    "writing": {"samplers", "sampling"},
    "sweeps": {"runs", "sampling"},
    "origins": {"runs"},
    "reports": {"directories", "runs"},
    "beginnings": {"directories"},
    "jobs": {"beginnings", "directories", "origins", "reports", "runs"},
    "batches": {"devices"},
    "loops": {"devices"},
    "recurrent": {"devices", "loops"},
    "noise": {"devices"},
    "model": {"devices", "noise", "recurrent"},
    "learners": {"checkpoints", "previews", "validation"},
    "steps": {"devices", "model", "noise"},
    "api": {"givens"},
    "studies": {"givens"},
    "cli": {"api", "cli_classify", "cli_runs", "cli_studies", "cli_write", "flags", "terminal"},
    "cli_write": {"api", "flags", "terminal"},
    "cli_runs": {"flags", "givens", "terminal"},
    "cli_studies": {"flags", "studies", "terminal"},
    "__main__": {"cli"},
}
WITH_TENSORFLOW = {
    "devices", "batches", "loops", "recurrent", "noise", "model", "steps", "validation",
    "callbacks",
    "checkpoints", "previews", "learners", "adaptation", "training",
    "classifier_model", "classifier_learner",
}  # fmt: skip
MODULES = sorted(path.stem for path in PACKAGE.glob("*.py"))


def layer_of(module):
    return next(number for number, layer in enumerate(LAYERS) if module in layer)


def imports_of(module):
    """Names of our modules that a module imports anywhere, and everything it imports at the top."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    ours = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "lstmega":
            ours |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lstmega."):
            ours.add(node.module.removeprefix("lstmega."))
    top = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    top |= {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    return ours, {name.partition(".")[0] for name in top}


def test_every_module_has_its_layer():
    assert set(MODULES) == set().union(*LAYERS)


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module):
    own = layer_of(module)
    for other in imports_of(module)[0]:
        assert layer_of(other) < own or other in INSIDE.get(module, set()), f"{module} imports {other}"


@pytest.mark.parametrize("module", sorted(set(MODULES) - WITH_TENSORFLOW))
def test_no_tensorflow_at_the_top(module):
    assert not imports_of(module)[1] & {"tensorflow", "keras"}


@pytest.mark.parametrize("module", MODULES)
def test_modules_stay_readable(module):
    assert len((PACKAGE / f"{module}.py").read_text().splitlines()) <= 400


def test_nothing_is_permitted_that_is_not_used():
    for module, others in INSIDE.items():
        assert others <= imports_of(module)[0], module


@pytest.mark.parametrize("module", MODULES)
def test_only_the_command_line_exits_and_prints(module):
    """`progress` prints too, on the stream that it was given; `terminal` hears what is typed."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert module == "cli" or "exit" not in attributes
    assert module == "progress" or "print" not in names
    assert module == "terminal" or "input" not in names


@pytest.mark.parametrize("module", sorted(set(MODULES) - WITH_TENSORFLOW - {"__main__"}))
def test_importing_brings_no_tensorflow(module):
    name = "lstmega" if module == "__init__" else f"lstmega.{module}"
    code = f"import sys, {name}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
