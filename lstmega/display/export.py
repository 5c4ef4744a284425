"""Results: how all of them display themselves, and pages, data frames and figures for other programs.

pandas and matplotlib are optional: they are imported on use.
"""

import importlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

from lstmega import files
from lstmega.display import html
from lstmega.display.formatting import columns
from lstmega.errors import UsageError

PREVIEW = 2000  # characters of a text in a notebook cell


class Page(Protocol):
    """A page of its own, and the same content for a notebook cell."""

    def page(self) -> str: ...
    def fragment(self) -> str: ...


class Result:
    """A result that displays itself in a terminal and in a notebook: heading, table, remark."""

    @property
    def heading(self) -> str:
        """The result in one line; empty for none."""
        return ""

    @property
    def remark(self) -> str:
        """Sentences below the table; empty for none."""
        return ""

    def table(self) -> list[list[str]]:
        """Return the rows of a table, the head first."""
        return []

    def rows(self) -> Iterable[dict[str, Any]]:
        """Return the rows of the data frame."""
        raise NotImplementedError

    def to_dataframe(self) -> Any:
        """Return `rows` as a pandas DataFrame.

        Raises:
            UsageError: pandas is not installed.
        """
        return dataframe(list(self.rows()))

    def __str__(self) -> str:
        return "\n\n".join(filter(None, [self.heading, columns(self.table()), self.remark]))

    def _repr_html_(self) -> str:
        return html.table(self.table(), self.heading, self.remark)


class PageResult(Result):
    """A result with a page of its own; a notebook cell shows the beginning of the same page."""

    def _page(self, most: int | None = None) -> Page:
        """Return the page of the first `most` characters of the text; None takes all."""
        raise NotImplementedError

    def to_html(self) -> str:
        """Return the result as a page of its own."""
        return self._page().page()

    def save_html(self, path: str | Path) -> Path:
        """Write `to_html` to a file and return its path."""
        return save(path, self.to_html())

    def _repr_html_(self) -> str:
        return self._page(PREVIEW).fragment()


def save(path: str | Path, page: str) -> Path:
    """Write a page to a file, whole or not at all, and return its path."""
    path = Path(path)
    files.write(path, page.encode("utf-8", "surrogatepass"))
    return path


def dataframe(rows: Sequence[dict[str, Any]]) -> Any:
    """Return rows as a pandas DataFrame.

    Raises:
        UsageError: pandas is not installed.
    """
    return _needed("pandas", "pandas", "to_dataframe").DataFrame(rows)


def figure(width: float, height: float) -> Any:
    """Return an empty matplotlib figure; width and height are inches.

    The figure has no window and no backend: notebooks display it, and it has `savefig`.

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
