"""A plot of what searches cost: of each way the share of seeds that have found the best, over what was spent."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from benchmarks.search_cost.rows import Row

_WIDTH, _HEIGHT = 460, 300
_LEFT, _TOP, _BOTTOM = 50, 40, 50
_LEGEND = 24
_COLOURS = ("#8c8c8c", "#bcbd22", "#1f77b4", "#17becf", "#9467bd", "#ff7f0e", "#2ca02c", "#8c564b")
_OURS = "#d62728"


def plot(rows: Sequence[Row], ours: str) -> str:
    """An SVG, a panel a surface, shares of the whole grid on a log scale."""
    surfaces = list(dict.fromkeys(row.surface for row in rows))
    ways = list(dict.fromkeys(row.way for row in rows))
    others = [way for way in ways if way != ours]
    colours = {way: _COLOURS[number % len(_COLOURS)] for number, way in enumerate(others)} | {ours: _OURS}
    across = min(2, len(surfaces))
    height = -(-len(surfaces) // across) * _HEIGHT + _LEGEND * (len(ways) + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{across * _WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for number, surface in enumerate(surfaces):
        of_surface = [row for row in rows if row.surface == surface]
        place = f"{number % across * _WIDTH} {number // across * _HEIGHT}"
        parts += [f'<g transform="translate({place})">', *_panel(surface, of_surface, colours), "</g>"]
    below = height - _LEGEND * len(ways)
    for number, way in enumerate(ways):
        y = below + _LEGEND * number
        parts.append(
            f'<line x1="{_LEFT}" x2="{_LEFT + 30}" y1="{y}" y2="{y}" stroke="{colours[way]}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{_LEFT + 40}" y="{y + 4}">{escape(way)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(surface: str, rows: Sequence[Row], colours: dict[str, str]) -> list[str]:
    finite = [share for row in rows for share in row.a_shares if share is not None and share > 0]
    low = math.floor(math.log10(min(finite, default=0.01)))
    high = max(low + 1, math.ceil(math.log10(max(finite, default=1.0))))
    right, bottom = _WIDTH - 20, _HEIGHT - _BOTTOM

    def x(share: float) -> float:
        return _LEFT + (math.log10(share) - low) / (high - low) * (right - _LEFT)

    def y(part: float) -> float:
        return bottom - part * (bottom - _TOP)

    parts = [f'<text x="{_LEFT}" y="{_TOP - 14}" font-weight="bold">{escape(surface)}</text>']
    for part in (0.0, 0.5, 1.0):
        parts.append(f'<line x1="{_LEFT}" x2="{right}" y1="{y(part):.1f}" y2="{y(part):.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y(part) + 4:.1f}" text-anchor="end">{part:.0%}</text>')
    for power in range(low, high + 1):
        parts.append(f'<text x="{x(10.0**power):.1f}" y="{bottom + 16}" text-anchor="middle">{10.0**power:g}</text>')
    parts.append(f'<text x="{_LEFT}" y="{bottom + 34}">share of the grid spent; seeds that have found the best</text>')
    for row in rows:
        points = [(float(x(share)), float(y(part))) for share, part in found_by(row)]
        steps: list[tuple[float, float]] = [(_LEFT, y(0.0))]
        for at, part in points:
            steps += [(at, steps[-1][1]), (at, part)]
        steps.append((right, steps[-1][1]))
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in steps)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colours[row.way]}" stroke-width="2"/>')
    return parts


def found_by(row: Row) -> list[tuple[float, float]]:
    """(share spent, share of all seeds that have found the best by then), rising."""
    shares = sorted(share for share in row.a_shares if share is not None)
    return [(share, (number + 1) / row.seeds) for number, share in enumerate(shares)]
