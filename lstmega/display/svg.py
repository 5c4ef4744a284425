"""The axes of a picture: numbers onto places, round ticks, their labels; and words in SVG."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

from lstmega.display import formatting as display

INK, PAPER, GRID = "#24292f", "#ffffff", "#d8dee4"
GREY, RED = "#57606a", "#b3380f"


@dataclass(frozen=True)
class Axis:
    """Numbers onto places: `low` at `start`, `high` at `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        """Return the place of a value, kept within the axis."""
        share = (value - self.low) / ((self.high - self.low) or 1)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, most: int) -> list[float]:
        """Return round numbers within the axis: one at least from 3 on, two from 5 on."""
        raw = (self.high - self.low) / most
        if raw <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(raw))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * (1 - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def labels(ticks: Sequence[float]) -> list[str]:
    """Return the ticks of one axis as text, all with the digits that tell them apart."""
    apart = ticks[1] - ticks[0] if len(ticks) > 1 else (abs(ticks[0]) or 1.0) / 100 if ticks else 1.0
    digits = max(0, -math.floor(math.log10(apart) + 1e-9))
    return [f"{tick:z,.{digits}f}" if abs(tick) < 1e9 else f"{tick:.3g}" for tick in ticks]


def svg(size: tuple[int, int], parts: Sequence[str], *, title: str, description: str) -> str:
    """Return a picture of so many pixels; title and description are for those who cannot see it."""
    width, height = size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" style="max-width:100%;height:auto" font-family="system-ui,sans-serif" '
        f'font-size="12"><title>{escaped(title)}</title><desc>{escaped(description)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def text(
    place: tuple[float, float], words: str, *, anchor: str = "start", ink: str = INK, size: int = 12
) -> str:
    """Return words in a picture, with a halo that keeps them readable on lines."""
    halo = f'stroke="{PAPER}" stroke-width="3" paint-order="stroke" stroke-linejoin="round"'
    return (
        f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" fill="{ink}" text-anchor="{anchor}" '
        f'font-size="{size}" {halo}>{escaped(words)}</text>'
    )


def escaped(words: str) -> str:
    """Return words for XML, which has no U+FFFE and U+FFFF."""
    return html.escape(display.plain(words).translate({0xFFFE: "\ufffd", 0xFFFF: "\ufffd"}))
