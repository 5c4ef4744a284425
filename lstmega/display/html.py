"""Fill in the templates of pages, notebook cells and pictures.

Corpora and samples are untrusted: each string that goes into a template is escaped and has its control
characters shown, and only `markup` is exempt.
"""

import html
import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from lstmega.display.formatting import plain

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_NO_XML = {0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}  # code points that XML does not have


def render(template: str, **values: Any) -> str:
    """Fill in a template.

    Args:
        template: A file of `display/templates`.
        values: Its variables: plain text, `markup`, numbers. A missing one is an error.
    """
    filled = _environment().get_template(template).render(values)
    return filled.translate(_NO_XML) if template.endswith(".svg") else filled


def table(rows: Sequence[Sequence[str]], caption: str, note: str = "") -> str:
    """Return rows of plain text as an HTML table.

    Args:
        rows: Text, the head first.
        caption: A title above the table; empty for none.
        note: A sentence below the table; empty for none.
    """
    return render("table.html", rows=rows, caption=caption, note=note)


def markup(content: str) -> "Markup":
    """Mark content that is HTML or SVG already, so that a template does not escape it."""
    from markupsafe import Markup  # noqa: PLC0415

    return Markup(content)  # noqa: S704 - of `render` and `escaped` only


def escaped(text: str) -> str:
    """Return text as a template shows it, for loops over characters that are too slow in a template."""
    return html.escape(plain(text))


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415 - `sample` has no page

    environment = Environment(
        loader=PackageLoader("lstmega.display"),
        autoescape=True,
        finalize=lambda value: value if hasattr(value, "__html__") else plain(str(value)),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["css"] = _css
    return environment


def _css(style: str) -> "Markup":
    """Return a style without the blanks that browsers do not need: each notebook cell has a copy."""
    return markup(re.sub(r"\s*([{};,])\s*", r"\1", style.strip()))
