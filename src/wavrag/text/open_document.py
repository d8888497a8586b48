"""Parse OpenDocument (odt, ods, odp) and EPUB."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from wavrag.errors import DocumentError
from wavrag.text.containers import attribute, local_name, open_zip, parse_xml
from wavrag.text.document import ParsedText, TextBuilder
from wavrag.text.html import html_encoding, parse_html
from wavrag.text.plain import decode
from wavrag.text.sheet import add_sheet
from wavrag.text.table import Cell, expand

MAX_REPEAT = 1_000  # copies of a cell or row; sheets end with a million empty ones
_SKIPPED = {"annotation", "tracked-changes", "forms", "sequence-decls", "bibliography-mark"}


def parse_odf(data: bytes, name: str) -> ParsedText:
    """Parse headings, paragraphs, lists, tables, and the slides of a presentation as pages.

    Raises:
        DocumentError: the file is damaged.
    """
    builder = TextBuilder()
    with open_zip(data) as archive:
        content = parse_xml(archive.read("content.xml"))
        meta = parse_xml(archive.read("meta.xml")) if "meta.xml" in archive.namelist() else None
    title = _add_metadata(builder, meta)
    body = next((element for element in content if local_name(element) == "body"), None)
    for office in body if body is not None else ():
        _OpenDocument(builder, is_sheet=local_name(office) == "spreadsheet").add(office)
    return builder.build(title)


def _add_metadata(builder: TextBuilder, meta: Element | None) -> str:
    """Add the metadata of Dublin Core and return the title."""
    values: dict[str, str] = {}
    for element in meta.iter() if meta is not None else ():
        key, value = local_name(element), (element.text or "").strip()
        if value and key in ("title", "creator", "date", "subject", "keyword", "language"):
            values[key] = f"{values[key]}, {value}" if key in values else value
    names = {"creator": "author", "keyword": "tags"}
    builder.add_metadata({names.get(key, key): value for key, value in values.items()})
    return values.get("title", "")


class _OpenDocument:
    def __init__(self, builder: TextBuilder, is_sheet: bool) -> None:
        self._builder = builder
        self._is_sheet = is_sheet
        self._page: int | None = None

    def add(self, element: Element) -> None:
        """Append the blocks below an element."""
        for child in element:
            match local_name(child):
                case "h":
                    level = attribute(child, "outline-level")
                    level_number = int(level) if level.isdigit() else 1
                    self._builder.add(_text(child), "heading", level_number, self._page)
                case "p":
                    self._builder.add(_text(child), page=self._page)
                case "list":
                    self._builder.add("\n".join(_items(child)), "list", page=self._page)
                case "table":
                    self._add_table(child)
                case "page":
                    self._page = (self._page or 0) + 1
                    self.add(child)
                case name if name not in _SKIPPED:
                    self.add(child)

    def _add_table(self, table: Element) -> None:
        rows = [_row(row) for row in _rows(table)]
        while rows and not any(cell.text for cell in rows[-1]):
            rows.pop()
        grid = expand(rows)
        if self._is_sheet:
            self._builder.add(attribute(table, "name"), "heading", 2)
            add_sheet(self._builder, grid)
        else:
            self._builder.add_table(None, grid, page=self._page)


def _text(element: Element) -> str:
    """The text of an element with tabs, spaces and line breaks; notes stay in their place."""
    strings = [element.text or ""]
    for child in element:
        match local_name(child):
            case "tab":
                strings.append("\t")
            case "line-break":
                strings.append("\n")
            case "s":
                strings.append(" ")
            case name if name not in _SKIPPED:
                strings.append(_text(child))
        strings.append(child.tail or "")
    return "".join(strings)


def _items(element: Element) -> Iterator[str]:
    for item in element:
        lines = [_text(child) for child in item if local_name(child) in ("p", "h")]
        if any(lines):
            yield "- " + "\n".join(lines)
        for child in item:
            if local_name(child) == "list":
                yield from _items(child)


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if local_name(child) == "table-row":
            has_text = any(text.strip() for text in child.itertext())
            yield from [child] * (_repeat(child, "rows") if has_text else 1)
        elif local_name(child).startswith(("table-row", "table-header-rows")):
            yield from _rows(child)


def _row(row: Element) -> list[Cell]:
    cells: list[Cell] = []
    for child in row:
        if local_name(child) != "table-cell":
            continue  # covered by a merged cell, which `expand` copies
        text = "\n".join(_text(p) for p in child if local_name(p) in ("p", "h", "list"))
        spans = (attribute(child, f"number-{name}-spanned") for name in ("columns", "rows"))
        columns, rows = (int(span) if span.isdigit() else 1 for span in spans)
        cells += [Cell(text, columns, rows)] * _repeat(child, "columns")
    while cells and not cells[-1].text:
        cells.pop()
    return cells


def _repeat(element: Element, name: str) -> int:
    value = attribute(element, f"number-{name}-repeated")
    return min(int(value), MAX_REPEAT) if value.isdigit() else 1


def parse_epub(data: bytes, name: str) -> ParsedText:
    """Parse the chapters of an e-book in reading order.

    Raises:
        DocumentError: the file is damaged or protected.
    """
    builder = TextBuilder()
    with open_zip(data) as archive:
        if "META-INF/rights.xml" in archive.namelist():
            raise DocumentError("is protected (DRM): only unprotected e-books are read")
        container = parse_xml(archive.read("META-INF/container.xml"))
        root = next((e for e in container.iter() if local_name(e) == "rootfile"), None)
        package_path = attribute(root, "full-path") if root is not None else ""
        package = parse_xml(archive.read(package_path))
        title = _add_metadata(builder, package)
        paths = {
            attribute(item, "id"): attribute(item, "href")
            for item in package.iter()
            if local_name(item) == "item"
        }
        for reference in package.iter():
            path = paths.get(attribute(reference, "idref"), "")
            if local_name(reference) != "itemref" or not path:
                continue
            path = posixpath.normpath(
                posixpath.join(posixpath.dirname(package_path), unquote(path.partition("#")[0]))
            )
            page = archive.read(path)
            builder.extend(parse_html(decode(page, path, html_encoding(page))[0]))
    return builder.build(title)
