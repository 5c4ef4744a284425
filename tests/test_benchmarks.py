"""Each benchmark runs to its end at its smallest size (`--check`); speeds are not asserted."""

import ast
import importlib
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

SCRIPTS = sorted(path.stem for path in (REPOSITORY / "benchmarks").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS)
def test_the_smallest_size(script, tmp_path, monkeypatch, capfd):
    """In this process, where possible: TensorFlow takes five seconds to start."""
    monkeypatch.chdir(tmp_path)
    if script == "kill_loop":  # it forks, which a process in which TensorFlow computes cannot
        path = REPOSITORY / "benchmarks" / f"{script}.py"
        subprocess.run([sys.executable, path, "--check"], check=True)
    else:
        importlib.import_module(f"benchmarks.{script}").main(["--check"])
    assert capfd.readouterr().out.strip()
    assert not list(tmp_path.iterdir()), "the check left files behind"


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_start_by_path_too(script):
    """`python benchmarks/NAME.py` finds no `benchmarks`, and `tests` only where the path is extended."""
    source = (REPOSITORY / "benchmarks" / f"{script}.py").read_text()
    nodes = list(ast.walk(ast.parse(source)))
    names = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
    packages = {name.partition(".")[0] for name in names}
    assert "benchmarks" not in packages
    assert "tests" not in packages or "sys.path.insert" in source
