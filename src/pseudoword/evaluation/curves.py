"""Curves as SVG text, to stand in a page without any script or network. Pure."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 560, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 12, 10, 30
_MOST_POINTS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One line of a plot."""

    label: str
    points: Sequence[tuple[float, float]]
    colour: str
    dots: bool = False
    """Show each point, as of measurements with gaps between them."""
    thin: bool = False


def plot(title: str, curves: Sequence[Curve], mark: tuple[float, str] | None = None) -> str:
    """One figure of some curves over steps; `mark` is a step to point at, with what it is.

    Curves without points are left out; nothing is drawn where none has any.
    """
    shown = [curve for curve in curves if curve.points]
    if not shown:
        return ""
    across, up = _scale([curve.points for curve in shown])
    parts = [_grid(across, up)]
    if mark is not None:
        parts.append(_mark(mark, across))
    parts += [_line(curve, across, up) for curve in shown]
    legend = "".join(f'<li><span style="background:{one.colour}"></span>{html.escape(one.label)}</li>' for one in shown)
    return (
        f'<figure><figcaption>{html.escape(title)}</figcaption><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{html.escape(title)}">{"".join(parts)}</svg><ul class="legend">{legend}</ul></figure>'
    )


@dataclass(frozen=True, slots=True)
class _Axis:
    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)


def _scale(lines: Sequence[Sequence[tuple[float, float]]]) -> tuple[_Axis, _Axis]:
    steps = [x for points in lines for x, _ in points]
    values = [y for points in lines for _, y in points]
    low, high = min(values), max(values)
    room = (high - low) * 0.06 or abs(high) * 0.1 or 1.0
    last = max(steps) if max(steps) > min(steps) else min(steps) + 1
    return (
        _Axis(min(steps), last, _LEFT, _WIDTH - _RIGHT),
        _Axis(low - room, high + room, _HEIGHT - _BOTTOM, _TOP),
    )


def _ticks(axis: _Axis, wanted: int) -> list[float]:
    """Round numbers within the axis: multiples of 1, 2 or 5 times a power of ten."""
    rough = (axis.high - axis.low) / wanted
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
    first = math.ceil(axis.low / step)
    return [number * step for number in range(first, math.floor(axis.high / step) + 1)]


def _grid(across: _Axis, up: _Axis) -> str:
    parts: list[str] = []
    for value in _ticks(up, 4):
        y = up.place(value)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    for value in _ticks(across, 6):
        x = across.place(value)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 10}" text-anchor="middle">{value:.6g}</text>')
    return "".join(parts)


def _mark(mark: tuple[float, str], across: _Axis) -> str:
    x = across.place(mark[0])
    anchor, shift = ("end", -5) if x > _WIDTH * 0.7 else ("start", 5)
    return (
        f'<path class="mark" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
        f'<text class="marked" x="{x + shift:.1f}" y="{_TOP + 11}" text-anchor="{anchor}">{html.escape(mark[1])}</text>'
    )


def _line(curve: Curve, across: _Axis, up: _Axis) -> str:
    every = math.ceil(len(curve.points) / _MOST_POINTS)
    chosen = [*curve.points[:-1:every], curve.points[-1]]
    places = [(across.place(x), up.place(y)) for x, y in chosen]
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    width = 0.8 if curve.thin else 1.8
    line = f'<path d="{path}" fill="none" stroke="{curve.colour}" stroke-width="{width}"/>'
    if curve.dots:
        line += "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{curve.colour}"/>' for x, y in places)
    return line


def running_mean(values: Sequence[float], weight: float = 0.95) -> list[float]:
    """An exponential running mean, which starts at the first value."""
    means: list[float] = []
    for value in values:
        means.append(value if not means else weight * means[-1] + (1 - weight) * value)
    return means
