"""The house: imports go downwards, TensorFlow stays in two packages, only the command line prints."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lstmega

PACKAGE = Path(lstmega.__file__).parent
# Lowest first. A module imports from its own package or from a lower rank.
RANKS = [
    {"errors"}, {"files"}, {"config"}, {"data"}, {"display"}, {"inference"}, {"runs"}, {"evaluation"},
    {"nn"}, {"training"}, {"arguments"}, {"classify"}, {"api"}, {"cli"}, {"__main__"},
]  # fmt: skip
RANK = {name: number for number, names in enumerate(RANKS) for name in names}
WITH_TENSORFLOW = {"nn", "training"}
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")
}
NAMES = sorted(name for name in MODULES if not name.endswith("__init__"))


def top(module):
    return module.partition(".")[0]


def imported(module):
    """Modules of ours that a module imports anywhere: `data.corpus`, or `data` where that is all."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "lstmega":
            inside = node.module.removeprefix("lstmega").removeprefix(".")
            below = {f"{inside}.{alias.name}".strip(".") for alias in node.names}
            found |= {name if name in MODULES else inside for name in below}
    return found


@pytest.mark.parametrize("module", NAMES)
def test_imports_point_down(module):
    for other in imported(module):
        allowed = top(other) == top(module) or RANK[top(other)] < RANK[top(module)]
        assert allowed, f"{module} imports {other}"
        assert other in MODULES, f"{module} imports from {other}, which does not define it"


def test_there_are_no_circles():
    done, under_way = set(), []

    def visit(module):
        assert module not in under_way, [*under_way, module]
        if module not in done:
            under_way.append(module)
            for other in imported(module) & set(MODULES):
                visit(other)
            done.add(under_way.pop())

    for module in NAMES:
        visit(module)


@pytest.mark.parametrize("module", NAMES)
def test_tensorflow_stays_in_its_packages(module):
    tree = ast.parse(MODULES[module].read_text())
    at_the_top = {node.module for node in tree.body if isinstance(node, ast.ImportFrom)}
    at_the_top |= {
        alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names
    }
    outside = {name.partition(".")[0] for name in at_the_top if name} & {"tensorflow", "keras"}
    ours = {name for name in at_the_top if name and re.match(r"lstmega\.(nn|training)\b", name)}
    assert top(module) in WITH_TENSORFLOW or not outside | ours


def test_importing_the_rest_brings_no_tensorflow():
    rest = [f"lstmega.{name}" for name in NAMES if top(name) not in WITH_TENSORFLOW | {"__main__"}]
    code = (
        f"import sys, {', '.join(rest)}; sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("module", NAMES)
def test_only_the_command_line_exits_and_prints(module):
    """`progress` prints too, on the stream that it was given; `terminal` reads what is typed."""
    tree = ast.parse(MODULES[module].read_text())
    attributes = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    assert module == "cli.main" or "exit" not in attributes
    assert module == "display.progress" or "print" not in names
    assert module == "cli.terminal" or "input" not in names
