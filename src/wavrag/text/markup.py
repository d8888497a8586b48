"""Parse reStructuredText and Org: headings, lists, tables and code, without markup."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterator

from wavrag.text.document import ParsedText, TextBuilder
from wavrag.text.rst_table import Table, parse_directive, parse_table

_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{1,}\s*$")
_DIRECTIVE = re.compile(r"\.\. +([\w:-]+)::\s*(.*)$")
_CODE = {
    "code",
    "code-block",
    "sourcecode",
    "highlight",
    "literalinclude",
    "math",
    "parsed-literal",
}
_ITEM = re.compile(r"(?:[-*+\u2022]|\(?(?:\d{1,9}|#|[a-zA-Z])[.)])\s+\S")


def _label(match: re.Match[str]) -> str:
    """The label of a link: the words before its target."""
    return match[1].rstrip()


# Lengths are bounded: unclosed markup would otherwise be searched to the end from each character.
_RST_INLINE = (
    (re.compile(r"``(.+?)``"), r"\1"),
    (re.compile(r":[\w:+.-]{1,60}:`(?:[~!])?([^`<]{1,500})(?:<[^>`]{0,500}>)?`"), _label),
    (re.compile(r"`([^`<]{1,500})<[^>`]{1,500}>`__?"), _label),
    (re.compile(r"`([^`]+)`_{0,2}"), r"\1"),
    (re.compile(r"\*\*(\S(?:.{0,500}?\S)?)\*\*"), r"\1"),
    (re.compile(r"(?<![\w*])\*(\S(?:.{0,500}?\S)?)\*(?![\w*])"), r"\1"),
    (re.compile(r"\|(\w[^|]*)\|_?"), r"\1"),
)
_ORG_INLINE = (
    (re.compile(r"\[\[[^\[\]]*\]\[([^\[\]]+)\]\]"), r"\1"),
    (re.compile(r"\[\[([^\[\]]+)\]\]"), r"\1"),
    (re.compile(r"(?<![\w])([*/_=~+])(\S(?:.{0,500}?\S)?)\1(?![\w])"), r"\2"),
)
_ORG_HEADING = re.compile(
    r"(\*+)\s+(?:(?:TODO|DONE|NEXT|WAITING|CANCELLED)\s+)?(?:\[#\w\]\s+)?(.*)$"
)
_ORG_TAGS = re.compile(r":[\w@:]+:")
_ORG_KEYWORD = re.compile(r"#\+(\w+):\s*(.*)$")
_ORG_BLOCK = re.compile(r"#\+begin_(\w+)", re.IGNORECASE)


def parse_rst(text: str) -> ParsedText:
    """Parse reStructuredText; directives are kept as their content."""
    builder = TextBuilder()
    styles: list[tuple[str, bool]] = []  # adornments in the order of their levels
    lines = [line.rstrip().expandtabs(4) for line in text.replace("\r\n", "\n").split("\n")]
    at = 0
    while at < len(lines):
        heading = _rst_heading(lines, at)
        if heading is not None:
            title, style, at = heading
            if style not in styles:
                styles.append(style)
            builder.add(_inline(title, _RST_INLINE), "heading", styles.index(style) + 1)
            continue
        end = at
        while end < len(lines) and lines[end] and not (end > at and _rst_heading(lines, end)):
            end += 1
        at = _add_rst_block(builder, lines, at, end) if end > at else at + 1
    return builder.build("")


def _rst_heading(lines: list[str], at: int) -> tuple[str, tuple[str, bool], int] | None:
    """Title, style and next line of a heading."""
    line = lines[at]
    following = lines[at + 1] if at + 1 < len(lines) else ""
    if (
        _ADORNMENT.match(line)
        and following.strip()
        and at + 2 < len(lines)
        and lines[at + 2] == line
        and len(line) >= len(following.strip())
    ):
        return following.strip(), (line[0], True), at + 3
    if (
        line.strip()
        and not line.startswith((" ", ".."))
        and not _ADORNMENT.match(line)
        and _ADORNMENT.match(following)
        and len(following) >= min(len(line), 4)
    ):
        return line, (following[0], False), at + 2
    return None


def _add_rst_block(builder: TextBuilder, lines: list[str], at: int, end: int) -> int:
    """Append the block of the lines from `at` to `end`; return the line after it."""
    block = lines[at:end]
    first = block[0]
    if directive := _DIRECTIVE.match(first.strip()):
        content, end = _indented(lines, at + 1)
        name, argument = directive[1].lower(), directive[2]
        body = [line for line in content if not re.match(r"\s*:[\w-]+:", line)]
        if name in ("list-table", "csv-table"):
            cells = _with_labels(parse_directive(name, content))
            builder.add_table(*cells, _inline(argument, _RST_INLINE))
        elif name in _CODE:
            builder.add(textwrap.dedent("\n".join(body)), "code")
        elif name not in ("image", "figure", "include", "toctree", "raw", "index", "contents"):
            builder.add(_inline("\n".join([argument, *body]), _RST_INLINE))
        return end
    if first.startswith((".. ", "__ ")) or first == "..":
        return _indented(lines, at + 1)[1]  # a comment, a target or a footnote's mark
    if table := parse_table(block):
        builder.add_table(*_with_labels(table))
        return end
    is_list = _ITEM.match(first.lstrip()) is not None
    words = _inline("\n".join(block), _RST_INLINE)
    is_code = words.endswith("::")
    builder.add(words[:-1] if is_code else words, "list" if is_list else "paragraph")
    if is_code:
        content, end = _indented(lines, end)
        builder.add(textwrap.dedent("\n".join(content)), "code")
    return end


def _with_labels(table: Table) -> Table:
    """A table without the markup in its cells."""
    header, rows = table
    labels = None if header is None else [_inline(cell, _RST_INLINE) for cell in header]
    return labels, [[_inline(cell, _RST_INLINE) for cell in row] for row in rows]


def _indented(lines: list[str], at: int) -> tuple[list[str], int]:
    """The indented lines from `at`, with empty ones between them, and the line after them."""
    end = at
    while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
        end += 1
    return lines[at:end], end


def parse_org(text: str) -> ParsedText:
    """Parse Org; keywords such as `#+AUTHOR:` and tags become metadata."""
    builder = TextBuilder()
    title, kind = "", ""
    block: list[str] = []
    lines = iter([*text.replace("\r\n", "\n").split("\n"), ""])
    for line in lines:
        heading = _ORG_HEADING.match(line)
        keyword = _ORG_KEYWORD.match(line)
        content = line.lstrip()
        opening = _ORG_BLOCK.match(content)
        is_item = _ITEM.match(content) is not None
        line_kind = "table" if content.startswith("|") else "list" if is_item else "paragraph"
        new_kind = line_kind if line_kind != "paragraph" else kind if kind == "list" else line_kind
        if block and (
            heading or keyword or opening or not line.strip() or (kind and new_kind != kind)
        ):
            _add_org(builder, block, kind)
            block = []
        if heading:
            name, _, tags = heading[2].rstrip().rpartition(" ")
            name = name if _ORG_TAGS.fullmatch(tags) else heading[2]
            builder.add(_inline(name, _ORG_INLINE), "heading", len(heading[1]))
        elif opening:
            name = opening[1].lower()
            text = "\n".join(_until(lines, rf"\s*#\+end_{re.escape(name)}"))
            is_code = name in ("src", "example", "export")
            builder.add(text, "code" if is_code else "paragraph")
        elif keyword:
            title = keyword[2].strip() if keyword[1].lower() == "title" else title
            if keyword[1].lower() in ("author", "date", "filetags", "keywords", "description"):
                builder.add_metadata({keyword[1].lower().replace("filetags", "tags"): keyword[2]})
        elif re.fullmatch(r"\s*:(?:PROPERTIES|LOGBOOK):\s*", line):
            list(_until(lines, r"\s*:END:"))
        elif line.strip() and not line.startswith("# "):
            kind = new_kind if block or line_kind != "paragraph" else "paragraph"
            block.append(line)
    return builder.build(title)


def _until(lines: Iterator[str], end: str) -> Iterator[str]:
    pattern = re.compile(end, re.IGNORECASE)
    for line in lines:
        if pattern.match(line):
            return
        yield line


def _add_org(builder: TextBuilder, block: list[str], kind: str) -> None:
    if kind == "table":
        rows = [line.strip().strip("|").split("|") for line in block if "|-" not in line]
        builder.add_table(None, [[cell.strip() for cell in row] for row in rows])
        return
    words = _inline("\n".join(block), _ORG_INLINE)
    builder.add(words, "list" if kind == "list" else "paragraph")


def _inline(text: str, rules: tuple[tuple[re.Pattern[str], str | Callable[..., str]], ...]) -> str:
    for pattern, replacement in rules:
        text = pattern.sub(replacement, text)
    return text
