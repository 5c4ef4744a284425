"""Export of results: pages in files, pandas data frames, matplotlib figures.

pandas and matplotlib are optional, and imported on use.
"""

import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstmega.errors import UsageError
from lstmega.files import Output

# The first bytes of `templates/document.html`.
_MARK = b"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="generator" content="lstmega">
"""


def page_file(path: str | Path, *, force: bool = False) -> Output:
    """Return the file of a page; it replaces pages of this program, and with `force` any file."""
    return Output(path, "--html", _MARK, force)


def save(path: str | Path, page: str, *, force: bool = False) -> Path:
    """Write a page to a file, and return its path; rule and errors as for `files.Output`."""
    return page_file(path, force=force).write(page.encode("utf-8", "surrogatepass"))


def dataframe(rows: Sequence[dict[str, Any]]) -> Any:
    """Return rows as a pandas DataFrame; UsageError where pandas is not installed."""
    return _needed("pandas", "pandas", "to_dataframe").DataFrame(rows)


def figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure, in inches, without window or backend; notebooks show it.

    Raises:
        UsageError: matplotlib is not installed.
    """
    figures = _needed("matplotlib.figure", '"lstmega[plot]"', "plot")
    shown = type("Figure", (figures.Figure,), {"_repr_png_": _png})
    return shown(figsize=(width, height), layout="constrained")


def _png(drawn: Any) -> bytes:
    picture = io.BytesIO()
    drawn.savefig(picture, format="png", dpi=80)
    return picture.getvalue()


def _needed(module: str, package: str, method: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        raise UsageError(
            f"{method} needs {name}. Received: no module of that name. "
            f"Install it (pip install {package}), or take to_dict."
        ) from error
