"""Parse PDF: paragraphs, page by page."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence

from wavrag.errors import DocumentError
from wavrag.text.document import ParsedText, TextBuilder, add_paragraph, one_line, seems_heading

# A hyphen at the end of a line, which is removed if the next line continues the word in lower case.
_HYPHEN = re.compile(r"(\w)[-\u2010\u00ad]$")
_ITEM = re.compile(r"[-*\u2022\u25aa\u25e6\u2023\u2043\u25cf\u25cb\u25a0]\s")
SHORT_LINE = 0.75  # share of the longest line of the page; a shorter line ends its paragraph


def parse_pdf(data: bytes, name: str) -> ParsedText:
    """Extract the text of all pages, with lines joined into paragraphs.

    Raises:
        DocumentError: the file needs a password, is damaged, or contains no text.
    """
    from pypdf import PdfReader
    from pypdf.errors import DependencyError

    # pypdf logs syntax errors of the file, which the user cannot fix.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(io.BytesIO(data))
        if reader.is_encrypted and not reader.decrypt(""):
            raise DocumentError(
                f"{name}: is password-protected: remove the password first, e.g. with"
                " `qpdf --password=SECRET --decrypt IN.pdf OUT.pdf`"
            )
        pages = [page.extract_text() for page in reader.pages]
        title = reader.metadata.title if reader.metadata else None
    except DependencyError as error:
        raise DocumentError(
            f"{name}: is encrypted: decrypt it first, e.g. with `qpdf --decrypt IN.pdf OUT.pdf`"
        ) from error
    except DocumentError:
        raise
    except Exception as error:
        # Damaged files raise all kinds of exceptions in pypdf, even assertions and recursion.
        raise DocumentError(
            f"{name}: is not a readable PDF ({error}): check that it opens, or print it to PDF"
            " again"
        ) from error
    builder = TextBuilder()
    for number, paragraph in _join_pages(pages):
        add_paragraph(builder, paragraph, number)
    parsed = builder.build(one_line(str(title or "")))
    if not parsed.text:
        raise DocumentError(
            f"{name}: contains no text, only images: run OCR first, e.g. with"
            " `ocrmypdf IN.pdf OUT.pdf`"
        )
    return parsed


def _join_pages(pages: Sequence[str]) -> Iterator[tuple[int, str]]:
    """Yield paragraphs with page numbers; join paragraphs that continue on the next page."""
    number, pending = 1, ""
    for page, text in enumerate(pages, start=1):
        for paragraph in _paragraphs(text):
            if pending and page > number and _continues(pending, paragraph):
                pending = _append(pending, paragraph)
                continue
            if pending:
                yield number, pending
            number, pending = page, paragraph
    if pending:
        yield number, pending


def _continues(paragraph: str, following: str) -> bool:
    return paragraph[-1] not in ".!?:" and following[:1].islower()


def _append(paragraph: str, line: str) -> str:
    if _HYPHEN.search(paragraph) and line[0].islower():
        return paragraph[:-1] + line
    return f"{paragraph}\n{line}" if paragraph else line


def _paragraphs(page: str) -> Iterator[str]:
    # PDF stores lines, not paragraphs. A paragraph ends at an empty or short line, a list item, or
    # a heading after a complete sentence.
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
