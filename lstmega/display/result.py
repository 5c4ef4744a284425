"""The base classes of results: text in a terminal, a cell in a notebook, a page, a data frame."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from lstmega.display import export, html
from lstmega.display.formatting import columns, plain

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
        return export.dataframe(list(self.rows()))

    def __str__(self) -> str:
        return plain("\n\n".join(filter(None, [self.heading, columns(self.table()), self.remark])))

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

    def save_html(self, path: str | Path, *, force: bool = False) -> Path:
        """Write `to_html` to a file, and return its path.

        Args:
            path: The file, or `-` for standard output.
            force: Replace any file, and not only a page that was written before or an empty file.

        Raises:
            UsageError: The file cannot be written, or has something else in it.
        """
        output = export.page_file(path, force=force)
        output.check()  # before the work
        return output.write(self.to_html().encode("utf-8", "surrogatepass"))

    def _repr_html_(self) -> str:
        return self._page(PREVIEW).fragment()
