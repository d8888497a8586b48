"""HTML: what a reader sees, without navigation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from wavrag.text.document import BlockKind, ParsedText, TextBuilder, one_line

_HIDDEN = (
    "script,style,noscript,template,svg,iframe,nav,footer,button,select,dialog,:not(body)[hidden]"
)
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure"
    " h1 h2 h3 h4 h5 h6 header hgroup hr html li main ol p pre section summary table tbody td tfoot"
    " th thead tr ul".split()
)
_CHARSET = re.compile(rb"<meta\b[^>]*\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
CHARSET_BYTES = 1024  # of a page, in which it names its encoding (HTML Standard, 4.2.5.4)
_LISTS = frozenset({"ul", "ol", "dl"})


def parse_html(text: str) -> ParsedText:
    """Headings, paragraphs, lists, tables and preformatted text, in order."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    named = tree.css_first("head > title")
    title = one_line(named.text()) if named is not None else ""
    builder = TextBuilder()
    body = tree.body
    if body is not None:
        for hidden in body.css(_HIDDEN):
            hidden.decompose()
        for (_, kind, level), lines in groupby(_lines(body), key=lambda line: line[0]):
            builder.add("\n".join(line for _, line in lines), kind, level)
    return builder.build(title)


def declared_encoding(data: bytes) -> str:
    """The encoding that a page names in a `meta` element; empty if it names none."""
    found = _CHARSET.search(data, 0, CHARSET_BYTES)
    name = found[1].decode("ascii", "replace").lower() if found else ""
    # Pages that say Latin-1 are in Windows-1252 (Encoding Standard, section 4.2).
    return "cp1252" if name in ("iso-8859-1", "latin1", "us-ascii", "ascii") else name


def visible_text(text: str) -> str:
    """The words of a fragment."""
    return parse_html(text).text


_Key = tuple[int, BlockKind, int]


@dataclass(frozen=True, slots=True)
class _Place:
    """The elements around a text that decide which block and line it belongs to.

    Attributes:
        owner: the nearest block element.
        item: the nearest `li`.
        listed: the outermost list.
        row: the nearest row of a table.
        table: the nearest table.
    """

    owner: Any
    item: Any = None
    listed: Any = None
    row: Any = None
    table: Any = None

    def within(self, element: Any) -> _Place:
        """The place of what stands directly in an element at this place."""
        tag = element.tag
        if tag not in _BLOCKS:
            return self
        place = replace(self, owner=element)
        if tag in _LISTS:
            return replace(place, listed=self.listed or element)
        match tag:
            case "li":
                return replace(place, item=element)
            case "tr":
                return replace(place, row=element)
            case "table":
                return replace(place, table=element)
        return place

    def key(self) -> _Key:
        """Identity, kind and level of the block: a table is one, and a list with those in it."""
        tag = self.owner.tag
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            return self.owner.mem_id, "heading", int(tag[1])
        if tag == "pre":
            return self.owner.mem_id, "code", 0
        if self.table is not None:
            return self.table.mem_id, "table", 0
        if self.listed is not None:
            return self.listed.mem_id, "list", 0
        return self.owner.mem_id, "paragraph", 0


def _lines(body: Any) -> list[tuple[_Key, str]]:
    """Lines, each with the key of its block. A row of a table is one line."""
    lines: list[tuple[_Key, str]] = []
    row: int | None = None
    begun: set[int] = set()  # items that have their marker
    for _, pairs in groupby(_texts(body), key=lambda pair: pair[0].owner.mem_id):
        stretch = list(pairs)
        place = stretch[0][0]
        content = "".join(text for _, text in stretch)
        key = place.key()
        if key[1] == "code":
            content = content.replace("\v", "\n")
        else:
            content = "\n".join(one_line(line) for line in content.split("\v")).strip()
        if not content.strip():
            continue
        before, row = row, None
        if key[1] == "table" and place.row is not None:
            row = place.row.mem_id
        if key[1] == "list" and place.item is not None and place.item.mem_id not in begun:
            begun.add(place.item.mem_id)
            content = f"- {content}"
        if row is not None and row == before:
            lines[-1] = (key, f"{lines[-1][1]} | {content}")
        else:
            lines.append((key, content))
    return lines


def _texts(body: Any) -> Iterator[tuple[_Place, str]]:
    """Every text node with its place; a line break is a vertical tab.

    Places are handed down from parent to child, so that deep nesting costs no more than its size.
    """
    places = {body.mem_id: _Place(body)}
    for node in body.traverse(include_text=True):
        if node.mem_id == body.mem_id:
            continue
        above = places[node.parent.mem_id]
        if node.tag == "-text":
            yield above, node.text_content or ""
        elif node.tag == "br":
            yield above, "\v"
        else:
            places[node.mem_id] = above.within(node)
