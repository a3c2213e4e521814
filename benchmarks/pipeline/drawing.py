"""A line drawing as SVG text: few lines, each named where it ends, readable on light and dark."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

WIDTH, HEIGHT = 820, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 250, 40, 50
COLOURS: Final = ("#1f77b4", "#2ca02c", "#9467bd", "#d62728", "#ff7f0e", "#8c564b")
CROSS: Final = "\u00d7"
INK: Final = "#808080"
_LEAST_GAP: Final = 15.0
"""Between the names of two lines, in pixels."""


@dataclass(frozen=True)
class Line:
    """Points (x, y) from left to right; *end* is written at the last, a cross, where it died."""

    name: str
    points: Sequence[tuple[float, float]]
    is_dashed: bool = False
    died: str = ""


@dataclass(frozen=True)
class Drawing:
    """What is drawn: a title, what the axes are, the marks on them."""

    title: str
    x_title: str
    y_title: str
    lines: Sequence[Line]
    x_marks: Sequence[float]
    x_is_logarithmic: bool = False

    def svg(self) -> str:
        """Draw it."""
        parts = [*self._frame(), *self._axes(), *self._drawn_lines(), "</svg>"]
        return "\n".join(parts) + "\n"

    def _frame(self) -> Iterator[str]:
        yield (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12">'
        )
        yield f"<title>{escape(self.title)}</title>"
        yield _text(LEFT, TOP - 18, self.title, INK, size=14)

    def _axes(self) -> Iterator[str]:
        bottom = HEIGHT - BOTTOM
        yield _stroke([(LEFT, TOP), (LEFT, bottom), (WIDTH - RIGHT, bottom)], INK)
        for mark in self.x_marks:
            yield _text(self._x(mark), bottom + 18, f"{mark:g}", INK, anchor="middle")
        for mark in self._y_marks():
            yield _stroke([(LEFT, self._y(mark)), (WIDTH - RIGHT, self._y(mark))], INK, thin=True)
            yield _text(LEFT - 8, self._y(mark) + 4, f"{mark:,.0f}", INK, anchor="end")
        middle = (LEFT + WIDTH - RIGHT) / 2
        yield _text(middle, HEIGHT - 12, self.x_title, INK, anchor="middle")
        yield _text(8, TOP - 2, self.y_title, INK)

    def _drawn_lines(self) -> Iterator[str]:
        for line, colour, height in zip(self.lines, COLOURS, self._heights(), strict=False):
            points = [(self._x(x), self._y(y)) for x, y in line.points]
            yield _stroke(points, colour, dashed=line.is_dashed)
            if line.died:
                x, y = points[-1]
                yield _text(x, y + 6, CROSS, colour, anchor="middle", size=22)
            yield _text(WIDTH - RIGHT + 8, height, f"{line.name}{line.died}", colour)

    def _heights(self) -> list[float]:
        """Place the names beside the lines' ends, none over another."""
        ends = [self._y(line.points[-1][1]) + 4 for line in self.lines]
        placed = dict.fromkeys(range(len(ends)), 0.0)
        lowest = -math.inf
        for number in sorted(placed, key=lambda each: ends[each]):
            lowest = placed[number] = max(ends[number], lowest + _LEAST_GAP)
        return list(placed.values())

    def _x(self, value: float) -> float:
        places = [*self.x_marks, *(x for line in self.lines for x, _ in line.points)]
        low, high = self._place(min(places)), self._place(max(places))
        share = (self._place(value) - low) / ((high - low) or 1)
        return LEFT + share * (WIDTH - RIGHT - LEFT)

    def _place(self, value: float) -> float:
        return math.log10(value) if self.x_is_logarithmic else value

    def _y(self, value: float) -> float:
        return HEIGHT - BOTTOM - value / self._y_marks()[-1] * (HEIGHT - BOTTOM - TOP)

    def _y_marks(self) -> list[float]:
        highest = max(y for line in self.lines for _, y in line.points)
        step = 10 ** math.floor(math.log10(highest))
        step = next(s for s in (step / 5, step / 2, step, step * 2) if highest / s <= 6)  # noqa: PLR2004
        return [step * number for number in range(math.ceil(highest / step) + 1)]


def _stroke(
    points: Sequence[tuple[float, float]], colour: str, *, thin: bool = False, dashed: bool = False
) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="6 4"' if dashed else ""
    look = 'stroke-width="0.5" opacity="0.5"' if thin else 'stroke-width="2"'
    return f'<polyline points="{path}" fill="none" stroke="{colour}" {look}{dash}/>'


def _text(
    x: float, y: float, text: str, colour: str, *, anchor: str = "start", size: int = 12
) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" '
        f'font-size="{size}">{escape(text)}</text>'
    )
