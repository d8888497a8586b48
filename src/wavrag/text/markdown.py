"""Parse Markdown (CommonMark with tables)."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

from wavrag.text.document import PIECE_CHARS, ParsedText, TextBuilder, flatten, join_pieces
from wavrag.text.front_matter import split_front_matter
from wavrag.text.html import visible_text
from wavrag.text.table import format_table

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_BREAK = re.compile(r"<br\b", re.IGNORECASE)
# Of quotes and lists; deeper content is dropped. The parser recurses, and hostile input would
# overflow its stack.
MAX_NESTING = 100


def parse_markdown(text: str) -> ParsedText:
    """Parse headings, paragraphs, lists, tables and code, without markup."""
    return join_pieces(parse_markdown_file(io.StringIO(text)))


def parse_markdown_file(file: TextIO) -> Iterator[ParsedText]:
    """Parse Markdown in pieces, which are parsed one by one; see `split_sections`."""
    builder = TextBuilder()
    front: dict[str, Any] = {}
    title = ""
    for number, section in enumerate(split_sections(file)):
        text = section
        if number == 0:
            front, text = split_front_matter(section.removeprefix("\ufeff"))
            builder.add_metadata(front)
            title = str(flatten(front.get("title")) or "")
        else:
            yield builder.take(title)
        _add_text(builder, text)
    if front and not builder:
        # A stub, as note-taking programs create them: its metadata is all it says.
        builder.add_note("contains only front matter; its title and metadata can be searched")
        fields = {"title": title, **builder.metadata}
        builder.add("\n".join(f"{key}: {value}" for key, value in fields.items() if value != ""))
    yield builder.take(title)


def split_sections(file: TextIO) -> Iterator[str]:
    """Yield a text with line feeds in pieces that end before a heading, or an empty line.

    A short text is one piece. Links defined in another piece than the one that refers to them
    keep their brackets.
    """
    lines: list[str] = []
    size = 0
    fence = ""
    after_empty = False
    for line in _read_lines(file):
        is_heading = not fence and line.startswith("#")
        is_break = is_heading or (not fence and after_empty and not line[0].isspace())
        limit = PIECE_CHARS if is_heading else 2 * PIECE_CHARS if is_break else 4 * PIECE_CHARS
        if size >= limit:
            yield "".join(lines)
            lines, size, fence = [], 0, ""
        if match := _FENCE.match(line):
            fence = "" if fence and match[1].startswith(fence) else fence or match[1]
        after_empty = not line.strip()
        lines.append(line)
        size += len(line)
    yield "".join(lines)


def _read_lines(file: TextIO) -> Iterator[str]:
    """Lines with line feeds; a very long one is cut."""
    for line in iter(lambda: file.readline(PIECE_CHARS), ""):
        yield from line.replace("\r\n", "\n").replace("\r", "\n").splitlines(keepends=True)


def _add_text(builder: TextBuilder, text: str) -> None:
    from markdown_it import MarkdownIt

    tokens = MarkdownIt("commonmark", {"maxNesting": MAX_NESTING}).enable("table").parse(text)
    at = 0
    while at < len(tokens):
        end = _matching(tokens, at)
        _add(builder, tokens[at : end + 1])
        at = end + 1


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
