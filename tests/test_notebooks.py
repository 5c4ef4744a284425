"""The notebooks: executed from clean, and as they are kept in the repository."""

import math
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

nbformat = pytest.importorskip("nbformat")
pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

from notebooks import refresh  # noqa: E402

PLACE = Path(__file__).parents[1] / "notebooks"
NAMES = ["first_steps", "reference", "tour"]


def outputs(notebook):
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def shown(notebook, kind):
    """Return everything of one MIME type that a notebook shows."""
    return "\n".join(
        "".join(output["data"][kind]) for output in outputs(notebook) if kind in output.get("data", {})
    )


def said(notebook):
    return "".join(output["text"] for output in outputs(notebook) if output.get("name") == "stdout")


def test_all_are_here():
    assert sorted(path.stem for path in PLACE.glob("*.ipynb")) == NAMES


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_they_run_from_clean(name, tmp_path):
    """With half of the steps and fewer units; the next test checks the kept outputs."""
    notebook = nbformat.read(PLACE / f"{name}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.source = re.sub(
                r"steps=(\d+)", lambda found: f"steps={int(found[1]) // 2}", cell.source
            )
    refresh.execute(notebook, tmp_path)
    check(name, notebook)
    if name == "first_steps":
        assert not list(tmp_path.iterdir())  # all that it writes is in a temporary directory


@pytest.mark.parametrize("name", NAMES)
def test_they_are_kept_with_what_they_show(name):
    path = PLACE / f"{name}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    check(name, notebook)
    content = path.read_text()
    assert len(content) < 1_500_000
    assert not re.search(r"/(home|root|tmp|work|Users)/", content)
    assert all(not cell.metadata for cell in notebook.cells)


def check_numbers(text):
    assert text.count("output is h: True") == 3
    assert "zeros or nothing, largest difference: 0.0e+00" in text
    by_equations = re.findall(r"differ by (\S+)", text)
    assert len(by_equations) == 7  # five steps of an LSTM, the program's own, a GRU
    of = dict(re.findall(r"(.+), largest difference: +(\S+)", text))
    equal = [of["in two pieces"], of["at the last valid step"], *by_equations]
    assert max(map(float, equal)) < 1e-6
    assert min(float(of["from ones"]), float(of["at the last step"])) > 1e-3


def check_drawing(drawing):
    root = ElementTree.fromstring(drawing)
    left, top, width, height = map(float, root.get("viewBox").split())
    assert {"memory c", "hidden h", "f = σ", "i = σ", "g = tanh", "o = σ"} <= set(root.itertext())
    for line in root.iter("{*}polyline"):
        for point in line.get("points").split():
            x, y = map(float, point.split(","))
            assert left < x < left + width
            assert top < y < top + height


def check(name, notebook):
    assert not [output for output in outputs(notebook) if output.output_type == "error"]
    assert "WARNING" not in said(notebook)
    pages = shown(notebook, "text/html")
    if name == "first_steps":
        check_numbers(said(notebook))
        check_drawing(shown(notebook, "image/svg+xml"))
        assert shown(notebook, "image/png").startswith("iVBOR")
        return
    assert "Losses of" in pages  # the learning curve
    assert "<polyline" in pages
    if name == "tour":
        assert "This model is" in said(notebook)
        assert "New 16-grams, %" in pages
        assert "held-out text" in pages
        assert "lstmega-bits" in pages
        assert "lstmega-unit" in pages
        free, bound = map(int, re.findall(r"longest run: (\d+)", said(notebook)))
        assert bound <= min(free, 20)
        assert shown(notebook, "image/png").startswith("iVBOR")
        assert "stream bits" in pages
    else:
        size, logarithm = re.search(r"ln (\d+) = (\S+)", said(notebook)).groups()
        assert float(logarithm) == pytest.approx(math.log(int(size)), abs=1e-3)
        assert int(size) > 90  # another number in each Python
        assert "step 39" in said(notebook)
        difference = re.search(r"Keras and NumPy: (\S+)", said(notebook))
        assert float(difference[1]) < 1e-4
        assert "temperature 0.9" in pages
