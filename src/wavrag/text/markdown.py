"""Parse Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from wavrag.text.document import ParsedText, TextBuilder, flatten
from wavrag.text.front_matter import split_front_matter
from wavrag.text.html import visible_text
from wavrag.text.table import format_table

_BREAK = re.compile(r"<br\b", re.IGNORECASE)
# Of quotes and lists; deeper content is dropped. The parser recurses, and hostile input would
# overflow its stack.
MAX_NESTING = 100


def parse_markdown(text: str) -> ParsedText:
    """Parse headings, paragraphs, lists, tables and code, without markup."""
    from markdown_it import MarkdownIt

    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    builder = TextBuilder()
    front, text = split_front_matter(text)
    builder.add_metadata(front)
    tokens = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").parse(text)
    at = 0
    while at < len(tokens):
        end = _matching(tokens, at)
        _add(builder, tokens[at : end + 1])
        at = end + 1
    title = str(flatten(front.get("title")) or "")
    if front and not builder:
        # A stub, as note-taking programs create them: its metadata is all it says.
        builder.add_note("contains only front matter; its title and metadata can be searched")
        fields = {"title": title, **builder.metadata}
        builder.add("\n".join(f"{key}: {value}" for key, value in fields.items() if value != ""))
    return builder.build(title)


def _matching(tokens: Sequence[Any], at: int) -> int:
    """Return the index of the closing token; quotes are not skipped, but parsed inside."""
    opening = tokens[at]
    if opening.nesting != 1 or opening.type == "blockquote_open":
        return at
    depth = 0
    for index in range(at, len(tokens)):
        depth += tokens[index].nesting
        if depth == 0:
            return index
    return len(tokens) - 1


def _add(builder: TextBuilder, tokens: Sequence[Any]) -> None:
    first = tokens[0]
    match first.type:
        case "heading_open":
            builder.add(_inline(tokens[1]), "heading", int(first.tag[1:]))
        case "bullet_list_open" | "ordered_list_open":
            builder.add("\n".join(_lines(tokens)), "list")
        case "table_open":
            builder.add_table(*_table(tokens))
        case "fence" | "code_block":
            builder.add(first.content, "code")
        case "html_block":
            builder.add(visible_text(first.content))
        case "paragraph_open":
            builder.add(_inline(tokens[1]))


def _lines(tokens: Sequence[Any]) -> Iterator[str]:
    """Yield the lines of a list, also nested: one per paragraph or row of a table."""
    marker = ""
    at = -1
    while (at := at + 1) < len(tokens):
        token = tokens[at]
        match token.type:
            case "list_item_open":
                marker = f"{token.info}{token.markup} " if token.info else "- "
                continue
            case "table_open":
                end = _matching(tokens, at)
                line = format_table(*_table(tokens[at:end]))
                at = end
            case "inline":
                line = _inline(token)
            case "fence" | "code_block":
                line = token.content.rstrip()
            case "html_block":
                line = visible_text(token.content)
            case _:
                continue
        yield marker + line
        marker = ""


def _table(tokens: Sequence[Any]) -> tuple[list[str], list[list[str]]]:
    """Return header and rows of a table."""
    rows: list[list[str]] = []
    for token in tokens:
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline":
            rows[-1].append(_inline(token))
    return rows[0], rows[1:]


def _inline(token: Any) -> str:
    """Return the text of inline markup; an image yields its description."""
    strings = []
    for child in token.children or ():
        if child.type in ("text", "code_inline", "image"):
            strings.append(child.content)
        elif child.type in ("softbreak", "hardbreak") or _BREAK.match(child.content):
            strings.append("\n")
    return "".join(strings)
