"""Plots in SVG, without a script.

A plot has no view box: places along it are percentages and its height is fixed, so that it fills any
width while its words keep their size. Only the lines are stretched, in a picture within the picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from runllm.quantities import UNKNOWN, count, dollars, percent, seconds
from runllm.report.columns import moment
from runllm.report.markup import Markup, tag
from runllm.values import frozen

HEIGHT = 170.0
_FEWEST = 12  # places for buckets on the time axis, so that a few bars are not broad ones
_STRETCHED = 1000.0
_STEPS = 4
_LEAST = 1e-9  # what is less is drawn as nothing
_POINT = 2.75
_PAIR, THICK, _APART = 20.0, 8.0, 11.0  # of a pair of bars: its height, each one's, and from one to the next
_DIGITS = 12  # after the point, at most
_TELLING = 3  # digits of a figure that people read


@frozen
class Measure:
    """What values are, and how they are written so that they can be compared.

    Attributes:
        write: a value that stands by itself.
        units: those that values side by side may have, the smallest first: its size, and the words around its number.
        whole: whether there is nothing between whole numbers.
        top: where an axis ends; None for the largest value or just above.
    """

    write: Callable[[float | None], str]
    units: tuple[tuple[float, str], ...]
    whole: bool = False
    top: float | None = None

    def unit(self, largest: float) -> tuple[float, str]:
        """The unit of values up to the largest."""
        return next((unit for unit in reversed(self.units) if largest >= unit[0]), self.units[0])

    def alike(self, values: Sequence[float | None], largest: float) -> list[str]:
        """Each value as text, all in one unit."""
        if len(self.units) == 1:
            return [self.write(value) for value in values]
        size, form = self.unit(largest)
        return [UNKNOWN if value is None else form.format(_telling(value / size)) for value in values]


def _telling(number: float) -> str:
    before = math.floor(math.log10(number)) if number > _LEAST else 0
    return f"{number:,.{min(max(_TELLING - 1 - before, 0), 6)}f}"


TIME = Measure(write=seconds, units=((0.001, "{} ms"), (1, "{} s"), (60, "{} min"), (3600, "{} h")))
MONEY = Measure(write=dollars, units=((1, "${}"),))
NUMBER = Measure(write=count, units=((1, "{}"),), whole=True)
SHARE = Measure(write=percent, units=((1, "{}%"),), top=100)


@frozen
class Series:
    """A figure over the buckets.

    Attributes:
        name: in the legend.
        style: its class.
        values: one for each bucket, None where there is none.
    """

    name: str
    style: str
    values: Sequence[float | None]


@frozen
class Times:
    """The time axis: buckets on their places, from left to right.

    Attributes:
        starts: of the buckets, in Unix seconds.
        width: of a bucket, in seconds.
    """

    starts: Sequence[float]
    width: float

    @property
    def end(self) -> float:
        """Where the axis ends."""
        return self.starts[-1] + self.width

    @property
    def span(self) -> float:
        """How long the axis is, in seconds."""
        return max(self.end - self.starts[0], _FEWEST * self.width)

    def at(self, time: float) -> float:
        """A time's place, in percent."""
        return 100 - 100 * (self.end - time) / self.span

    def of(self, start: float) -> str:
        """What to call a bucket."""
        return moment(start, self.width)


def line_plot(title: str, series: Sequence[Series], times: Times, measure: Measure) -> Markup:
    """A line for each series, with a point at each bucket.

    Args:
        title: what it shows.
        series: the lines.
        times: the buckets that they all have.
        measure: what the values are.
    """
    axis = _axis(max((v for s in series for v in s.values if v is not None), default=0), measure)
    top = axis[-1][0]
    drawn: list[Markup] = []
    for each in series:
        points = [
            (times.at(start + times.width / 2), _y(value, top))
            for start, value in zip(times.starts, each.values, strict=True)
            if value is not None
        ]
        stretched = " ".join(f"{x * _STRETCHED / 100:.1f},{y:.1f}" for x, y in points)
        line = tag("polyline", points=stretched, class_=f"line {each.style}")
        drawn.append(
            tag(
                "svg",
                line,
                viewBox=f"0 0 {_STRETCHED:g} {HEIGHT:g}",
                preserveAspectRatio="none",
                width="100%",
                height=HEIGHT,
            )
        )
        drawn += [tag("circle", cx=_percent(x), cy=y, r=_POINT, class_=f"point {each.style}") for x, y in points]
    return _figure(title, series, times, drawn, axis, measure)


def bar_plot(title: str, series: Sequence[Series], times: Times, measure: Measure) -> Markup:
    """The series on top of each other, the first one below.

    Args:
        title: what it shows.
        series: what each bar is made of.
        times: the buckets that they all have.
        measure: what the values are.
    """
    sums = [sum(value or 0 for value in values) for values in zip(*(each.values for each in series), strict=True)]
    axis = _axis(max(sums, default=0), measure)
    end = axis[-1][0]
    width = 100 * times.width / times.span
    drawn: list[Markup] = []
    for at, start in enumerate(times.starts):
        base = 0.0
        for each in series:
            value = each.values[at] or 0
            if value:
                top = _y(base + value, end)
                drawn.append(
                    tag(
                        "rect", x=_percent(times.at(start) + width * 0.08), width=_percent(width * 0.84),
                        y=top, height=max(1.0, _y(base, end) - top), class_=f"bar {each.style}",
                    )
                )  # fmt: skip
            base += value
    return _figure(title, series, times, drawn, axis, measure)


def pair(shares: Sequence[tuple[str, float | None]], label: str) -> Markup:
    """A short bar for each share from 0 to 1, one below the other.

    Args:
        shares: each with its class.
        label: what they say, in words.
    """
    height = _PAIR if len(shares) > 1 else THICK
    bars = [tag("title", label)]
    for at, (style, share) in enumerate(shares):
        bars.append(tag("rect", y=at * _APART, width="100%", height=THICK, class_="track"))
        if share is not None:
            bars.append(tag("rect", y=at * _APART, width=_percent(100 * share), height=THICK, class_=f"bar {style}"))
    return tag("svg", bars, class_="pair", role="img", aria_label=label, width="100%", height=height)


def stack(parts: Sequence[tuple[str, float]], label: str, height: float = THICK) -> Markup:
    """One bar of parts side by side, which together may be all of it.

    Args:
        parts: the share of each, from 0 to 1, with its class.
        label: what they say, in words.
        height: of the bar.
    """
    bars = [tag("title", label), tag("rect", width="100%", height=height, class_="track")]
    at = 0.0
    for style, share in parts:
        if share > 0:
            bars.append(
                tag("rect", x=_percent(100 * at), width=_percent(100 * share), height=height, class_=f"bar {style}")
            )
        at += share
    return tag("svg", bars, class_="pair", role="img", aria_label=label, width="100%", height=height)


def key(entries: Sequence[tuple[str, str]]) -> Markup:
    """A legend: a swatch for each style, and its name."""
    swatch = tag("rect", width="100%", height="100%")
    return tag(
        "p",
        [
            tag("span", tag("svg", swatch, class_=f"swatch {style}", width=12, height=12, aria_hidden="true"), name)
            for style, name in entries
        ],
        class_="key",
    )


def _figure(
    title: str,
    series: Sequence[Series],
    times: Times,
    drawn: Sequence[Markup],
    axis: Sequence[tuple[float, str]],
    measure: Measure,
) -> Markup:
    """A plot with its title, legend, axes, and for each bucket its values to be read by pointing at it."""
    said = f"{title}. The table below the plots holds the values."
    plot = tag(
        "svg", _axes(times, axis), drawn, _hints(series, times, measure),
        class_="plot", role="img", aria_label=said, width="100%", height=HEIGHT,
    )  # fmt: skip
    legend = [key([(each.style, each.name) for each in series])] if len(series) > 1 else []
    return tag("figure", tag("figcaption", title), legend, tag("div", plot, class_="frame"))


def _axes(times: Times, axis: Sequence[tuple[float, str]]) -> list[Markup]:
    parts: list[Markup] = []
    for value, said in axis:
        y = _y(value, axis[-1][0])
        parts.append(tag("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        parts.append(tag("text", said, x=-8, y=y + 4, class_="left"))
    begin = times.end - times.span
    for share, style in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
        parts.append(
            tag("text", times.of(begin + share * times.span), x=_percent(100 * share), y=HEIGHT + 18, class_=style)
        )
    return parts


def _hints(series: Sequence[Series], times: Times, measure: Measure) -> list[Markup]:
    hints: list[Markup] = []
    for at, start in enumerate(times.starts):
        values = ((each.name, each.values[at]) for each in series)
        said = ", ".join(f"{name} {measure.write(value)}" for name, value in values if value is not None)
        hints.append(
            tag(
                "rect", tag("title", f"{times.of(start)}: {said or 'nothing'}"),
                x=_percent(times.at(start)), width=_percent(100 * times.width / times.span), y=0, height=HEIGHT,
                class_="hint",
            )
        )  # fmt: skip
    return hints


def _axis(largest: float, measure: Measure) -> list[tuple[float, str]]:
    """Values from 0 to the largest or just above, round in the one unit in which all of them are written."""
    end = measure.top or largest
    size, form = measure.unit(end)
    scale = _scale(end / size, whole=measure.whole)
    digits = next((n for n in range(_DIGITS) if all(abs(round(v, n) - v) < _LEAST * scale[-1] for v in scale)), _DIGITS)
    return [(value * size, form.format(f"{value:,.{digits}f}" if value else "0")) for value in scale]


def _scale(largest: float, *, whole: bool = False) -> list[float]:
    """Round values from 0 to the largest or just above."""
    if not _LEAST < largest < math.inf:
        return [0.0, 1.0]
    exact = max(largest / _STEPS, 1 if whole else 0)
    size = 10.0 ** math.floor(math.log10(exact))
    factors = (1, 2, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(size * factor for factor in factors if size * factor >= exact * 0.999)
    return [step * at for at in range(max(1, math.ceil(largest / step - 0.001)) + 1)]


def _y(value: float, top: float) -> float:
    return HEIGHT * (1 - min(1.0, value / top))


def _percent(share: float) -> str:
    return f"{share:.3f}%"
