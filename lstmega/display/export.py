"""Export of results: pages in files, pandas data frames, matplotlib figures.

pandas and matplotlib are optional, and imported on use.
"""

import importlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lstmega import files
from lstmega.errors import UsageError


def save(path: str | Path, page: str) -> Path:
    """Write a page to a file, whole or not at all, and return its path."""
    path = Path(path)
    files.write(path, page.encode("utf-8", "surrogatepass"))
    return path


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
