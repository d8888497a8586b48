"""Parse HTML: the visible text, without navigation."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from wavrag.text.document import BlockKind, ParsedText, TextBuilder, one_line
from wavrag.text.html_table import HtmlTable

# Elements without content for a reader. Pages hide the body until their scripts have run, and the
# content behind an open dialog.
_HIDDEN = (
    "script,style,noscript,template,svg,iframe,nav,[role=navigation],select,dialog,"
    ":not(body)[hidden]:not([hidden=until-found]),[aria-hidden=true]:not(body,main,article)"
)
_INVISIBLE_STYLE = re.compile(r"(?:^|;)\s*(?:display\s*:\s*none|visibility\s*:\s*hidden)", re.I)
# Consent banners by the usual ids and classes; `cookie` alone may be a recipe.
_BANNER = re.compile(
    r"(?:cookie|consent|gdpr|ccpa|privacy)[-_]?(?:consent|banner|notice|notification|bar|box|law"
    r"|popup|modal|message|alert|overlay|warning|wall|prompt|dialog|manager)\b"
    r"|\b(?:onetrust|cybotcookiebot|cookiebot|didomi|usercentrics|truste|qc-cmp|osano|iubenda-cs"
    r"|cc-window|cc-banner)",
    re.IGNORECASE,
)
MAX_BANNERS = 200  # the text of each is measured
MAX_BANNER_CHARS = 3_000  # more text is the page, with a class that happens to match
MIN_BUTTON_WORDS = 3  # a shorter button, alone in its element, is a control: "Copy", "Log in"
_META_KEYS = {
    "author": "author", "article:author": "author", "dc.creator": "author", "byl": "author",
    "date": "date", "article:published_time": "date", "dc.date": "date", "dcterms.date": "date",
    "datepublished": "date", "description": "description", "og:description": "description",
    "keywords": "tags", "article:tag": "tags", "dc.subject": "tags",
}  # fmt: skip
# Elements that start a new line, after the rendering section of the HTML Standard; the text of all
# others continues the line.
_BLOCKS = frozenset(
    "address article aside blockquote body caption dd details div dl dt fieldset figcaption figure"
    " footer h1 h2 h3 h4 h5 h6 header hgroup hr html li main ol p pre section summary table tbody"
    " td tfoot th thead tr ul".split()
)
_CHARSET = re.compile(rb"<meta\b[^>]*\bcharset\s*=\s*[\"']?\s*([\w.:-]+)", re.IGNORECASE)
CHARSET_BYTES = 1024  # the encoding must be declared in these (HTML Standard, 4.2.5.4)
_LISTS = frozenset({"ul", "ol", "dl"})
_CLICKABLE = frozenset({"h1", "h2", "h3", "h4", "h5", "h6", "summary"})  # may open a text
_CONTENT = frozenset({"article", "blockquote", "figure"})  # have footers of their own


def parse_html(text: str) -> ParsedText:
    """Parse headings, paragraphs, lists, tables and preformatted text, in order."""
    from selectolax.lexbor import LexborHTMLParser

    tree = LexborHTMLParser(text)
    element = tree.css_first("head > title")
    title = one_line(element.text()) if element is not None else ""
    builder = TextBuilder()
    builder.add_metadata(_metadata(tree))
    body = tree.body
    if body is not None:
        tables: dict[int, HtmlTable] = {}
        texts = list(_texts(body, tables))
        for (identity, kind, level), lines in groupby(
            _lines(texts, tables), key=lambda line: line[0]
        ):
            if kind == "table" and (table := tables[identity]).has_cells:
                builder.add_table(*table.parse())
            else:
                builder.add("\n".join(line for _, line in lines), kind, level)
    return builder.build(title)


def html_encoding(data: bytes) -> str:
    """Return the encoding in the `meta` element of a page; empty without one."""
    match = _CHARSET.search(data, 0, CHARSET_BYTES)
    name = match[1].decode("ascii", "replace").lower() if match else ""
    # Latin-1 and ASCII mean Windows-1252 on the web (Encoding Standard, section 4.2).
    return "cp1252" if name in ("iso-8859-1", "latin1", "us-ascii", "ascii") else name


def visible_text(text: str) -> str:
    """Return the visible text of an HTML fragment."""
    return parse_html(text).text


def _metadata(tree: Any) -> dict[str, list[str]]:
    """Return the values of the `meta` elements with a known name, by our key."""
    values: dict[str, list[str]] = {}
    for element in tree.css("meta[content]"):
        attributes = element.attributes
        name = attributes.get("name") or attributes.get("property") or attributes.get("itemprop")
        content = one_line(attributes.get("content") or "")
        key = _META_KEYS.get((name or "").lower())
        if key and content and content not in (members := values.setdefault(key, [])):
            members.append(content)
    return {key: members if key == "tags" else members[:1] for key, members in values.items()}


def _hidden_elements(body: Any) -> set[int]:
    """Return the identities of elements without content for a reader; they may be nested."""
    hidden = {element.mem_id for element in body.css(_HIDDEN)}
    for element in body.css("[style*=none i],[style*=hidden i]"):
        if element.tag != "body" and _INVISIBLE_STYLE.search(element.attributes["style"] or ""):
            hidden.add(element.mem_id)
    banners = 0
    for element in body.css(":not(body,main,article):is([id],[class])"):
        names = f"{element.attributes.get('id') or ''} {element.attributes.get('class') or ''}"
        if banners < MAX_BANNERS and _BANNER.search(names):
            banners += 1
            if len(element.text()) <= MAX_BANNER_CHARS:
                hidden.add(element.mem_id)
    return hidden


_Key = tuple[int, BlockKind, int]


@dataclass(frozen=True, slots=True)
class _Context:
    """Enclosing elements of a text node, which determine its block and line.

    Attributes:
        owner: nearest block element.
        item: nearest `li`.
        outer_list: outermost list.
        row: nearest table row.
        cell: nearest table cell.
        table: nearest table.
        in_form: inside a form.
        in_nested_table: inside a table in a cell of a table of data; its words are that cell's.
        has_footers: inside an element whose footers belong to the content.
    """

    owner: Any
    item: Any = None
    outer_list: Any = None
    row: Any = None
    cell: Any = None
    table: Any = None
    in_form: bool = False
    in_nested_table: bool = False
    has_footers: bool = False

    def within(self, element: Any) -> _Context:
        """Return the context of the children of an element in this context."""
        tag = element.tag
        if tag == "form":
            return replace(self, in_form=True)
        if tag not in _BLOCKS:
            return self
        context = replace(self, owner=element)
        if self.in_nested_table:
            return context
        if tag in _LISTS:
            return replace(context, outer_list=self.outer_list or element)
        if tag in _CONTENT:
            return replace(context, has_footers=True)
        match tag:
            case "li":
                return replace(context, item=element)
            case "tr":
                return replace(context, row=element)
            case "td" | "th":
                return replace(context, cell=element)
            case "table":
                return replace(context, table=element, row=None, cell=None)
        return context

    def key(self) -> _Key:
        """Return identity, kind and level of the block; nested lists form a single block."""
        tag = self.owner.tag
        if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit():
            return self.owner.mem_id, "heading", int(tag[1])
        if tag == "pre":
            return self.owner.mem_id, "code", 0
        if self.table is not None:
            return self.table.mem_id, "table", 0
        if self.outer_list is not None:
            return self.outer_list.mem_id, "list", 0
        return self.owner.mem_id, "paragraph", 0


def _lines(
    texts: Iterable[tuple[_Context, str]], tables: Mapping[int, HtmlTable]
) -> list[tuple[_Key, str]]:
    """Return all lines, each with the key of its block.

    A table has its cells in `tables`, and a single line here; a row of a layout table is a line.
    """
    lines: list[tuple[_Key, str]] = []
    row: int | None = None
    marked: set[int] = set()  # list items with a marker
    for _, pairs in groupby(texts, key=lambda pair: pair[0].owner.mem_id):
        run = list(pairs)
        context = run[0][0]
        key = context.key()
        if key[1] == "table" and tables[key[0]].has_cells:
            if not lines or lines[-1][0] != key:
                lines.append((key, ""))
            continue
        content = "".join(text for _, text in run)
        if key[1] == "code":
            content = content.replace("\v", "\n")
        else:
            content = "\n".join(one_line(line) for line in content.split("\v")).strip()
        if not content.strip():
            continue
        before, row = row, None
        if key[1] == "table" and context.row is not None:
            row = context.row.mem_id
        if key[1] == "list" and context.item is not None and context.item.mem_id not in marked:
            marked.add(context.item.mem_id)
            content = f"- {content}"
        if row is not None and row == before:
            lines[-1] = (key, f"{lines[-1][1]} | {content}")
        else:
            lines.append((key, content))
    return lines


def _texts(body: Any, tables: dict[int, HtmlTable]) -> Iterator[tuple[_Context, str]]:
    """Yield each text node with its context, and fill `tables`; `br` becomes a vertical tab.

    Each context derives from that of the parent, so the time is linear even for deep nesting.
    """
    hidden = _hidden_elements(body)
    contexts: dict[int, _Context | None] = {body.mem_id: _Context(body)}
    for node in body.traverse(include_text=True):
        if node.mem_id == body.mem_id:
            continue
        parent = contexts[node.parent.mem_id]
        if (
            parent is None
            or node.mem_id in hidden
            or (node.tag == "footer" and not parent.has_footers)
            or (node.tag == "button" and _is_control(node, parent))
        ):
            contexts[node.mem_id] = None
            continue
        table = tables[parent.table.mem_id] if parent.table is not None else None
        if node.tag in ("-text", "br"):
            text = "\v" if node.tag == "br" else node.text_content or ""
            if table is not None:
                table.add_text(parent, text)
            yield parent, text
            continue
        context = contexts[node.mem_id] = parent.within(node)
        if node.tag == "table" and table is not None and table.has_labels:
            contexts[node.mem_id] = replace(parent, owner=node, in_nested_table=True)
        elif node.tag == "table":
            tables[node.mem_id] = HtmlTable(node.attributes.get("role") == "presentation")
            if table is not None:
                table.is_layout = True
        elif table is not None and not context.in_nested_table:
            table.add_element(node, context)


def _is_control(button: Any, context: _Context) -> bool:
    """True for a button of a form, or a short one alone in its element, such as "Copy"."""
    if context.in_form or context.owner.tag in _CLICKABLE:
        return context.in_form
    if len(button.text().split()) >= MIN_BUTTON_WORDS:
        return False
    return not any(
        node is not None and node.tag == "-text" and (node.text_content or "").strip()
        for node in (button.prev, button.next)
    )
