"""A text in colours, one for each character: what pages and notebook cells of it share.

The text is untrusted: everything is escaped, control characters are shown, and a page forbids scripts.
"""

import html
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lstmega.display import formatting as display

MOST = 200_000  # characters that are shown
BLOCK = 300  # characters of one block, about
LIGHT_INK, DARK_INK = "#16161a", "#f4f4f5"
_LONGEST = 2000  # characters of one block at most
_BEFORE = 20  # characters of an excerpt before its last one
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


@dataclass(frozen=True)
class Palette:
    """The shades of a box; every rule of its style begins with the box's class.

    Args:
        name: The box's class.
        steps: Where the next shade begins, ascending; one less than there are shades.
        light: Colours `#rrggbb` on a light ground, at most 13.
        dark: As many on a dark ground.
        ground: Which of the shades is the ground's colour.
    """

    name: str
    steps: tuple[float, ...]
    light: tuple[str, ...]
    dark: tuple[str, ...]
    ground: int = 0

    @property
    def classes(self) -> str:
        """One letter for each shade."""
        return string.ascii_lowercase[: len(self.light)]

    def shades(self, values: npt.NDArray[np.floating]) -> list[str]:
        """Return the letter of each value's shade, `[characters]`."""
        return [self.classes[shade] for shade in np.searchsorted(self.steps, values, side="right")]


def page(palette: Palette, body: str, *, title: str) -> str:
    """Return a page of its own.

    Args:
        palette: Of the box.
        body: What `box` returned.
        title: Shown in the browser's tab; plain text.
    """
    ground = "body{{margin:0;background:{}}}".format
    light, dark = ground(palette.light[palette.ground]), ground(palette.dark[palette.ground])
    style = (
        f"{light}.{palette.name}{{margin:auto;max-width:60rem}}"
        f"@media(prefers-color-scheme:dark){{{dark}}}"
    )
    return document(body, title=title, style=style)


def document(body: str, *, title: str, style: str) -> str:
    """Return a page of its own, which may load nothing and run nothing.

    Args:
        body: HTML, everything that is not ours in it escaped.
        title: Shown in the browser's tab; plain text.
        style: CSS.
    """
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>{style}</style>\n"
        f"</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def box(palette: Palette, inner: str, *, title: str) -> str:
    """Return a box with its style and title, for a notebook's cell.

    Args:
        palette: Of the box.
        inner: HTML, everything of the text in it escaped.
        title: Plain text.
    """
    style, head = _style(palette), escaped(title)
    return f'<div class="{palette.name}"><style>{style}</style><h2>{head}</h2>{inner}</div>'


def _style(palette: Palette) -> str:
    """Return rules that touch nothing outside; the ground is our own, whatever the notebook's theme."""
    box = f".{palette.name}"
    ground, dark_ground = palette.light[palette.ground], palette.dark[palette.ground]
    dark = f"{box}{{background:{dark_ground};color:{DARK_INK}}}{_shades(palette, palette.dark)}"
    return (
        f"{box}{{background:{ground};color:{LIGHT_INK};padding:1rem}}"
        f"{box}{{font:1rem/1.5 system-ui,sans-serif}}"
        f"{box} pre,{box} ol{{font:.95rem/1.6 ui-monospace,monospace;white-space:pre-wrap;"
        "overflow-wrap:anywhere;word-break:normal;background:none;color:inherit}"
        f"{box} div{{content-visibility:auto;contain-intrinsic-size:auto 8rem}}"
        f"{box} b{{font-weight:inherit;color:inherit}}"
        f'{box} .n::before{{content:"⏎";opacity:.4}}'
        f"{_shades(palette, palette.light)}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def _shades(palette: Palette, colours: tuple[str, ...]) -> str:
    named = zip(palette.classes, colours, strict=True)
    return "".join(f".{palette.name} .{name}{{background:{colour}}}" for name, colour in named)


def legend(palette: Palette, what: str, edges: Iterable[str]) -> str:
    """Return a paragraph with one coloured box for each shade.

    Args:
        palette: Of the box.
        what: What is coloured.
        edges: For each shade where it begins.
    """
    boxes = zip(palette.classes, edges, strict=True)
    shown = "".join(f"<b class={name}>&nbsp;{escaped(edge)}&nbsp;</b>" for name, edge in boxes)
    return paragraph(f"{escaped(what)}: {shown}")


def written(text: str, shades: Sequence[str], remarks: Sequence[str], *, start: int = 0) -> str:
    """Return a text in blocks that a browser lays out only when they are in sight.

    One block of 60,000 characters took Chromium 17 s, blocks of a few lines 1 s. A line of more
    than 2,000 characters goes on in a next block, without the sign of a line end.

    Args:
        text: The whole text.
        shades: The class of each character that is shown, `[shown]`.
        remarks: What to say of each beside itself when the pointer rests on it, `[shown]`, plain text.
        start: The first character to show.
    """
    end = start + len(shades)
    drawn = list(map(_character, text[start:end], shades, map(escaped, remarks)))
    blocks, at = [], 0
    while at < len(drawn):
        line_end = text.find("\n", start + at + BLOCK, end) + 1 - start
        stop = min(line_end if line_end > 0 else len(drawn), at + _LONGEST)
        blocks.append(f"<div>{''.join(drawn[at:stop])}</div>")
        at = stop
    return f'{_left_out(start, end, len(text))}<pre dir="auto" translate="no">{"".join(blocks)}</pre>'


def _character(character: str, shade: str, remark: str) -> str:
    if character == "\n":  # the sign is the style's, so that a copied text is the text
        return f"<b class='{shade} n' title='\"⏎\" {remark}'>\n</b>"
    shown = escaped(character)
    return f"<b class={shade} title='\"{shown}\" {remark}'>{shown}</b>"


def _left_out(start: int, end: int, total: int) -> str:
    left_out = total - (end - start)
    shown = f"Shown are characters {start + 1:,} to {end:,} of {total:,}; {left_out:,} are left out."
    return paragraph(shown if left_out else "")


def excerpt(text: str, at: int, shade: str) -> str:
    """Return the character at a place, in its shade, behind the 20 before it."""
    before = display.plain(text[max(0, at - _BEFORE) : at]).replace("\n", "⏎")
    return f"{html.escape(before)}<b class={shade}>{escaped(text[at]).replace(chr(10), '⏎')}</b>"


def paragraph(inner: str) -> str:
    """Return HTML as a paragraph; nothing where there is none."""
    return f"<p>{inner}</p>" if inner else ""


def escaped(text: str) -> str:
    """Return text for a page: control characters shown, markup escaped."""
    return html.escape(display.plain(text))
