"""Parse Markdown (CommonMark with tables)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from wavrag.text.document import ParsedText, TextBuilder
from wavrag.text.html import visible_text

# Front matter starts with `key:` or a comment; other text between two rules is content.
_FRONT_MATTER = re.compile(
    r"\A---[^\S\n]*\n(?=[\w-]+[^\S\n]*:|\#|---)(.*?)^(?:---|\.\.\.)[^\S\n]*$",
    re.DOTALL | re.MULTILINE,
)
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
# Of quotes and lists; deeper content is dropped. The parser recurses, and hostile input would
# overflow its stack.
MAX_NESTING = 100
_TITLE = re.compile(r"^title:[^\S\n]*(.+?)[^\S\n]*$", re.MULTILINE)


def parse_markdown(text: str) -> ParsedText:
    """Parse headings, paragraphs, lists, tables and code, without markup."""
    from markdown_it import MarkdownIt

    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    title = ""
    if front := _FRONT_MATTER.match(text):
        match = _TITLE.search(front[1])
        title = match[1].strip("\"'") if match else ""
        text = text[front.end() :]
    builder = TextBuilder()
    tokens = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").parse(text)
    at = 0
    while at < len(tokens):
        end = _matching(tokens, at)
        _add(builder, tokens[at : end + 1])
        at = end + 1
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
            builder.add("\n".join(_lines(tokens)), "table")
        case "fence" | "code_block":
            builder.add(first.content, "code")
        case "html_block":
            builder.add(visible_text(first.content))
        case "paragraph_open":
            builder.add(_inline(tokens[1]))


def _lines(tokens: Sequence[Any]) -> Iterator[str]:
    """Yield the lines of a list or table, also nested: one per paragraph or row."""
    marker = ""
    cells: list[str] | None = None
    for token in tokens:
        match token.type:
            case "list_item_open":
                marker = f"{token.info}{token.markup} " if token.info else "- "
                continue
            case "tr_open":
                cells = []
                continue
            case "inline" if cells is not None:
                cells.append(_inline(token))
                continue
            case "tr_close":
                line, cells = " | ".join(cells or ()), None
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


def _inline(token: Any) -> str:
    """Return the text of inline markup; an image yields its description."""
    strings = []
    for child in token.children or ():
        if child.type in ("text", "code_inline", "image"):
            strings.append(child.content)
        elif child.type in ("softbreak", "hardbreak") or _BREAK.match(child.content):
            strings.append("\n")
    return "".join(strings)
