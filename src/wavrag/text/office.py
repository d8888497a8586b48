"""Parse office formats with the packages of the extra `office`: docx, pptx, xlsx, rtf."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

from wavrag.errors import DocumentError
from wavrag.text.containers import open_zip
from wavrag.text.document import ParsedText, TextBuilder
from wavrag.text.plain import add_plain
from wavrag.text.sheet import add_sheet

MERGE_BYTES = 8 << 20  # larger workbooks (they take 50 times their size) are streamed, unmerged
MAX_COLUMNS = 1_000
MAX_EMPTY_ROWS = 1_000  # in a row; formatted empty rows can go on for a million
RELATIONSHIPS = "_rels/.rels"
DOCX_RELATIONSHIPS = (
    '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Target="word/document.xml" Type="http://schemas.openxmlformats.org/'
    'officeDocument/2006/relationships/officeDocument"/></Relationships>'
)
_DECIMALS = re.compile(r"0\.(0+)")


def parse_docx(data: bytes, name: str) -> ParsedText:
    """Parse headings, paragraphs, lists and tables of a Word document.

    Raises:
        DocumentError: the file is damaged.
    """
    with _office_errors(data):
        import docx
        from docx.table import Table

        document = docx.Document(io.BytesIO(_add_relationships(data)))
        builder = TextBuilder()
        items: list[str] = []
        for block in document.iter_inner_content():
            if isinstance(block, Table):
                _add_list(builder, items)
                builder.add_table(None, [_docx_row(row) for row in block.rows])
                continue
            style = (block.style.name if block.style is not None else None) or ""
            level = _heading_level(style)
            if not level and (_is_numbered(block) or style.startswith("List")):
                items.append(f"- {block.text}")
                continue
            _add_list(builder, items)
            builder.add(block.text, "heading" if level else "paragraph", level)
        _add_list(builder, items)
        return builder.build(_add_properties(builder, document.core_properties))


def _add_relationships(data: bytes) -> bytes:
    """Add the part that names the document, which hand-made archives lack."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        if RELATIONSHIPS in archive.namelist():
            return data
    output = io.BytesIO(data)
    with zipfile.ZipFile(output, "a") as archive:
        archive.writestr(RELATIONSHIPS, DOCX_RELATIONSHIPS)
    return output.getvalue()


def _add_list(builder: TextBuilder, items: list[str]) -> None:
    builder.add("\n".join(items), "list")
    items.clear()


def _heading_level(style: str) -> int:
    if match := re.fullmatch(r"heading (\d)", style.lower()):
        return int(match[1])
    return 1 if style == "Title" else 0


def _is_numbered(paragraph: Any) -> bool:
    properties = paragraph._p.pPr
    return properties is not None and properties.numPr is not None


def _docx_row(row: Any) -> list[str]:
    """Cells of a row; a merged cell counts for each column, and over all columns once."""
    cells = row.cells
    if len(cells) > 1 and all(cell._tc is cells[0]._tc for cell in cells):
        return [cells[0].text]
    return [cell.text for cell in cells]


def _add_properties(builder: TextBuilder, properties: Any) -> str:
    """Add author, date and tags; return the title."""
    builder.add_metadata({
        "author": properties.author if properties.author != "python-docx" else "",
        "date": properties.created,
        "tags": properties.keywords,
        "subject": properties.subject,
    })  # fmt: skip
    title: str = properties.title or ""
    return "" if title in ("Word Document", "PowerPoint Presentation") else title


def parse_pptx(data: bytes, name: str) -> ParsedText:
    """Parse the slides of a presentation as pages, with their tables and notes.

    Raises:
        DocumentError: the file is damaged.
    """
    with _office_errors(data):
        import pptx

        presentation = pptx.Presentation(io.BytesIO(data))
        builder = TextBuilder()
        for number, slide in enumerate(presentation.slides, start=1):
            title = slide.shapes.title
            if title is not None and title.has_text_frame:
                builder.add(title.text_frame.text, "heading", 2, page=number)
            for shape in _shapes(slide.shapes):
                if title is not None and shape.shape_id == title.shape_id:
                    continue
                if shape.has_text_frame:
                    lines = [p.text for p in shape.text_frame.paragraphs if p.text.strip()]
                    is_list = len(lines) > 1
                    words = "\n".join(f"- {line}" if is_list else line for line in lines)
                    builder.add(words, "list" if is_list else "paragraph", page=number)
                elif getattr(shape, "has_table", False):
                    rows = [[cell.text for cell in row.cells] for row in shape.table.rows]
                    builder.add_table(None, rows, page=number)
            if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
                builder.add(slide.notes_slide.notes_text_frame.text, page=number)
        return builder.build(_add_properties(builder, presentation.core_properties))


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def parse_xlsx(data: bytes, name: str) -> ParsedText:
    """Parse the sheets of a workbook as sections with a table each; formulas as their values.

    Raises:
        DocumentError: the file is damaged.
    """
    with _office_errors(data):
        import openpyxl

        is_large = len(data) > MERGE_BYTES
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=is_large, data_only=True)
        builder = TextBuilder()
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                builder.add_note(f"the hidden sheet {sheet.title!r} is left out")
                continue
            merged = {} if is_large else _merged_values(sheet)
            rows = list(_sheet_rows(sheet, merged))
            if any(any(row) for row in rows):
                builder.add(sheet.title, "heading", 2)
                _add_tables(builder, rows)
        return builder.build(_xlsx_title(builder, book.properties))


def _xlsx_title(builder: TextBuilder, properties: Any) -> str:
    author = properties.creator if properties.creator != "openpyxl" else ""
    builder.add_metadata({"author": author, "tags": properties.keywords})
    return properties.title or ""


def _merged_values(sheet: Any) -> dict[tuple[int, int], str]:
    """Text of merged cells by row and column, for each cell that they cover below the first row."""
    values: dict[tuple[int, int], str] = {}
    for area in sheet.merged_cells.ranges:
        text = _cell_text(sheet.cell(area.min_row, area.min_col))
        cells = ((r, c) for r in range(area.min_row, area.max_row + 1)
                 for c in range(area.min_col, area.max_col + 1))  # fmt: skip
        values |= dict.fromkeys(cells, text) if area.size["rows"] < MAX_EMPTY_ROWS else {}
    return values


def _sheet_rows(sheet: Any, merged: dict[tuple[int, int], str]) -> Iterator[list[str]]:
    empty = 0
    for number, row in enumerate(
        sheet.iter_rows(max_col=min(sheet.max_column or 1, MAX_COLUMNS)), 1
    ):
        cells = [
            merged.get((number, column), "") if cell.value is None else _cell_text(cell)
            for column, cell in enumerate(row, 1)
        ]
        empty = 0 if any(cells) else empty + 1
        if empty > MAX_EMPTY_ROWS:
            return
        yield cells


def _add_tables(builder: TextBuilder, rows: list[list[str]]) -> None:
    """Append a table for each run of rows between empty ones, without empty columns on the left."""
    table: list[list[str]] = []
    for row in [*rows, []]:
        if any(row):
            table.append(row)
        elif table:
            left = min(next(i for i, cell in enumerate(row) if cell) for row in table)
            add_sheet(builder, [row[left:] for row in table])
            table = []


def _cell_text(cell: Any) -> str:
    """The value of a cell as its number format shows it: dates, percentages, decimals."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        code = cell.number_format or ""
        decimals = _DECIMALS.search(code)
        percent = code.endswith("%")
        number = value * 100 if percent else value
        if decimals or percent:
            return f"{number:.{len(decimals[1]) if decimals else 0}f}{' %' if percent else ''}"
        return f"{number:.15g}"
    if hasattr(value, "isoformat"):
        return str(value.isoformat(sep=" ") if hasattr(value, "hour") and hasattr(value, "year")
                   else value.isoformat()).removesuffix(" 00:00:00")  # fmt: skip
    return str(value)


def parse_rtf(data: bytes, name: str) -> ParsedText:
    """Parse the paragraphs of Rich Text.

    Raises:
        DocumentError: the file is damaged.
    """
    from striprtf.striprtf import rtf_to_text

    try:
        words = rtf_to_text(data.decode("latin-1"), errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, LookupError, IndexError, KeyError) as error:
        raise DocumentError(f"is not readable Rich Text ({error}): save it again") from error
    builder = TextBuilder()
    for line in words.split("\n"):
        if line.count("|") > 1:
            builder.add(line.strip("|").replace("|", " | "), "table")
        else:
            add_plain(builder, line)
    return builder.build("")


class _office_errors:  # noqa: N801 - used like a function
    """Checks the size of a file, and turns the errors of its package into `DocumentError`."""

    def __init__(self, data: bytes) -> None:
        with open_zip(data):
            pass

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, DocumentError):
            raise DocumentError(
                f"is not readable ({error}): save it again, or convert it to PDF"
            ) from error
