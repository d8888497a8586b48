"""PDF: paragraphs page by page."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence

from wavrag.errors import DocumentError
from wavrag.text.document import (
    ParsedText,
    TextBuilder,
    add_unmarked,
    one_line,
    seems_heading,
)

_HYPHEN = re.compile(r"(\w)[-\u2010\u00ad]$")
_ITEM = re.compile(r"[-*\u2022\u25aa\u25e6\u2023\u2043\u25cf\u25cb\u25a0]\s")
SHORT_LINE = 0.75  # of the longest line of the page: a shorter one ends its paragraph


def parse_pdf(data: bytes, name: str) -> ParsedText:
    """The text of every page; lines are joined to paragraphs.

    Raises:
        DocumentError: it needs a password, is damaged, or holds no text.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # What pypdf remarks about a file's syntax is nothing a reader can mend.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(
                f"{name}: is protected by a password: remove it first, e.g. with"
                " `qpdf --password=SECRET --decrypt IN.pdf OUT.pdf`"
            )
        pages = [page.extract_text() for page in reader.pages]
        named = reader.metadata.title if reader.metadata else None
    except DependencyError as error:
        raise DocumentError(
            f"{name}: is encrypted: remove that first, e.g. with `qpdf --decrypt IN.pdf OUT.pdf`"
        ) from error
    except DocumentError:
        raise
    except Exception as error:
        # Damaged files make pypdf fail in any way, assertions and recursion included.
        raise DocumentError(
            f"{name}: is not a PDF that can be read ({error}): check that it opens, or print it to"
            " PDF again"
        ) from error
    builder = TextBuilder()
    for number, paragraph in _joined(pages):
        add_unmarked(builder, paragraph, number)
    parsed = builder.build(one_line(str(named or "")))
    if not parsed.text:
        raise DocumentError(
            f"{name}: holds no text, only pictures: recognise it first, e.g. with"
            " `ocrmypdf IN.pdf OUT.pdf`"
        )
    return parsed


def _joined(pages: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Paragraphs with the number of their page; one that runs over a page end is one."""
    number, held = 1, ""
    for page, text in enumerate(pages, start=1):
        for paragraph in _paragraphs(text):
            if held and page > number and _goes_on(held, paragraph):
                held = _append(held, paragraph)
                continue
            if held:
                yield number, held
            number, held = page, paragraph
    if held:
        yield number, held


def _goes_on(paragraph: str, following: str) -> bool:
    return paragraph[-1] not in ".!?:" and following[:1].islower()


def _append(paragraph: str, line: str) -> str:
    if _HYPHEN.search(paragraph) and line[0].islower():
        return paragraph[:-1] + line
    return f"{paragraph}\n{line}" if paragraph else line


def _paragraphs(page: str) -> Iterator[str]:
    lines = [line.strip() for line in page.split("\n")]
    longest = max(map(len, lines), default=0)
    paragraph = ""
    for line in lines:
        new = (
            not line
            or _ITEM.match(line)
            or (paragraph[-1:] in (".", "!", "?") and seems_heading(line))
        )
        if new and paragraph:
            yield paragraph
            paragraph = ""
        if not line:
            continue
        paragraph = _append(paragraph, line)
        if len(line) < SHORT_LINE * longest and line[-1] not in ",;-\u2010":
            yield paragraph
            paragraph = ""
    if paragraph:
        yield paragraph
