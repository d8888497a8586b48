"""Pieces of a page: escaped text, tables, bars with intervals as inline SVG. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1b1f24;--dim:#57606a;--line:#d0d7de;--card:#f6f8fa;
--link:#0060a0;--bar:#8cc5ea;--whisker:#1b1f24;--good:#00714f;--bad:#a33a00}
@media(prefers-color-scheme:dark){:root{--bg:#0f1419;--fg:#e6edf3;--dim:#9aa5b1;--line:#30363d;
--card:#161c23;--link:#6cbcf0;--bar:#1f6f9f;--whisker:#e6edf3;--good:#3fc79a;--bad:#ff9f66}}
*{box-sizing:border-box}body{margin:0 auto;max-width:70rem;padding:1rem 1.25rem 4rem;
background:var(--bg);color:var(--fg);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid var(--line);font-size:1.3rem}
h3{margin:1.5rem 0 .5rem;font-size:1.05rem}a{color:var(--link)}nav ul{padding-left:1.2rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;font-variant-numeric:tabular-nums;
font-size:.9rem}th,td{padding:.35rem .7rem;border-bottom:1px solid var(--line);text-align:left;
vertical-align:top;white-space:nowrap}td.n,th.n{text-align:right}td small,.dim{color:var(--dim)}
td small{display:block}svg{height:auto;font:13px system-ui,sans-serif}
svg text{fill:var(--fg)}.bar{fill:var(--bar)}.whisker{stroke:var(--whisker);stroke-width:1.5}
.axis{stroke:var(--line)}details{border:1px solid var(--line);border-radius:.4rem;margin:.4rem 0;
background:var(--card)}summary{padding:.45rem .7rem;cursor:pointer}
details>div{padding:0 .9rem .8rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}audio{width:min(22rem,100%);
height:2.2rem;display:block;margin:.3rem 0}ol{padding-left:1.6rem}li{margin:.5rem 0}
.yes{color:var(--good)}.no{color:var(--bad)}dt{color:var(--dim);font-size:.85rem;margin-top:.6rem}
dd{margin:0}
"""


def cell(value: Any) -> str:
    """A table's cell: text, number, or a mean with its interval."""
    if value is None:
        return '<td class="n">\u2013</td>'
    if isinstance(value, dict) and "mean" in value:
        low, high = value["ci95"]
        return f'<td class="n">{value["mean"]:.3f}<small>{low:.3f} to {high:.3f}</small></td>'
    if isinstance(value, float):
        return (
            f'<td class="n">{value:,.4g}</td>'
            if abs(value) >= 1
            else f'<td class="n">{value:.3f}</td>'
        )
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def table(heads: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "") -> str:
    """A table that scrolls by itself where it is too wide."""
    numeric = [rows and not isinstance(value, str) for value in (rows[0] if rows else heads)]
    head = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{escape(name)}</th>'
        for name, number in zip(heads, numeric, strict=True)
    )
    body = "".join(f"<tr>{''.join(map(cell, row))}</tr>" for row in rows)
    label = f' aria-label="{escape(caption)}"' if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region"{label}><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def bars(title: str, rows: Sequence[tuple[str, float, tuple[float, float]]]) -> str:
    """Bars from 0 to 1 with their intervals, as SVG.

    Args:
        title: what the bars show, for those who do not see them.
        rows: label, mean, ends of the interval.
    """
    longest = max((len(label) for label, _, _ in rows), default=0)
    left, width, step = 16 + 7 * min(longest, 42), 420, 28
    height = step * len(rows) + 34
    parts = []
    for quarter in range(5):
        x = left + width * quarter // 4
        parts.append(
            f'<line class="axis" x1="{x}" x2="{x}" y1="4" y2="{height - 26}"/>'
            f'<text x="{x}" y="{height - 8}" text-anchor="middle">{quarter / 4:g}</text>'
        )
    for number, (label, mean, (low, high)) in enumerate(rows):
        y = 6 + step * number
        shown = label if len(label) <= 42 else f"\u2026{label[-41:]}"
        x1, x2 = left + width * low, left + width * high
        parts.append(
            f'<text x="{left - 8}" y="{y + 14}" text-anchor="end">{escape(shown)}</text>'
            f'<rect class="bar" x="{left}" y="{y + 2}" width="{width * mean:.1f}" height="16"/>'
            f'<line class="whisker" x1="{x1:.1f}" x2="{x2:.1f}" y1="{y + 10}" y2="{y + 10}"/>'
            f'<text x="{left + width + 10}" y="{y + 14}">{mean:.3f}</text>'
        )
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="Plot">'
        f'<svg role="img" aria-label="{escape(title)}" viewBox="0 0 {left + width + 60} {height}"'
        f' width="{left + width + 60}">{"".join(parts)}</svg></div>'
    )
