"""Layout of PDF pages: columns, tables, running headers, titles, pages without text."""

import base64
import io
import os
import zlib
from pathlib import Path

import pytest
from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject

from wavrag import text
from wavrag.errors import DocumentError
from wavrag.text.pdf import parse_pdf
from wavrag.text.pdf_pages import open_pdf, render_page
from wavrag.text.read import SMALL_BYTES

Line = tuple[float, float, str] | tuple[float, float, str, float]  # x, y from the top, words, size
HELVETICA = DictionaryObject(
    {
        NameObject("/Type"): NameObject("/Font"),
        NameObject("/Subtype"): NameObject("/Type1"),
        NameObject("/BaseFont"): NameObject("/Helvetica"),
    }
)
SCAN = "0.5 g 100 100 300 300 re f"  # a grey square
TWO_COLUMNS = [
    ("The harbour master keeps the", "The museum of glass opens at ten"),
    ("tide tables in a red cabinet be-", "and closes at five. Tickets for"),
    ("side the door. Every skipper must", "children are free on Sundays, and"),
    ("sign the log before dawn, and the", "the furnace demonstration begins"),
    ("fee for a visiting yacht is nine", "at noon every Saturday from May"),
    ("euros a night in summer.", "until the end of September."),
]
FARES = [
    (200, 110, "Route"), (265, 110, "Weekday fare"), (340, 110, "Weekend fare"),
    (200, 128, "Harbour line"), (265, 128, "2.40"), (340, 128, "3.10"),
    (200, 146, "Hill tram"), (265, 146, "1.90"),
    (200, 164, "Night bus"), (340, 164, "4.50"),
]  # fmt: skip
FARES_TEXT = """Route: Harbour line | Weekday fare: 2.40 | Weekend fare: 3.10
Route: Hill tram | Weekday fare: 1.90 | Weekend fare: \u2014
Route: Night bus | Weekday fare: \u2014 | Weekend fare: 4.50"""


def pdf(*pages: list[Line] | str, rotate: int = 0, **metadata: str) -> bytes:
    """A PDF with words at positions, or graphics, on each page of 600 x 800 points."""
    writer = PdfWriter()
    for lines in pages:
        page = writer.add_blank_page(600, 800)
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): HELVETICA})}
        )
        content = lines if isinstance(lines, str) else ""
        for x, y, words, *size in [] if isinstance(lines, str) else lines:
            content += f"BT /F1 {size[0] if size else 10} Tf {x} {800 - y} Td ({words}) Tj ET\n"
        stream = DecodedStreamObject()
        stream.set_data(content.encode("latin-1"))
        page[NameObject("/Contents")] = writer._add_object(stream)
        page.rotation = rotate
    writer.add_metadata({f"/{key}": value for key, value in metadata.items()})
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def prose(first: float, count: int = 12, x: float = 60) -> list[Line]:
    return [
        (x, first + 14 * n, f"Line {n} of this page tells about the docks and goes on and")
        for n in range(count)
    ]


def scan(data: bytes) -> bytes:
    """A PDF with a picture of the first page of another."""
    document = open_pdf(data, "a.pdf")
    image, _ = render_page(document, 0)
    document.close()
    height, width = image.shape
    writer = PdfWriter()
    page = writer.add_blank_page(600, 800)
    picture = DecodedStreamObject()
    picture.set_data(image.tobytes())
    picture.update(
        {
            NameObject("/Type"): NameObject("/XObject"),
            NameObject("/Subtype"): NameObject("/Image"),
            NameObject("/Width"): NumberObject(width),
            NameObject("/Height"): NumberObject(height),
            NameObject("/ColorSpace"): NameObject("/DeviceGray"),
            NameObject("/BitsPerComponent"): NumberObject(8),
        }
    )
    objects = DictionaryObject({NameObject("/P"): writer._add_object(picture)})
    page[NameObject("/Resources")] = DictionaryObject({NameObject("/XObject"): objects})
    stream = DecodedStreamObject()
    stream.set_data(b"600 0 0 800 0 0 cm /P Do")
    page[NameObject("/Contents")] = writer._add_object(stream)
    buffer = io.BytesIO()
    writer.write(buffer)
    return buffer.getvalue()


def paragraphs(data: bytes) -> list[str]:
    parsed = parse_pdf(data, "a.pdf")
    return [" ".join(parsed.text[b.start : b.end].split()) for b in parsed.blocks]


def test_columns_are_read_one_after_the_other_however_they_are_stored() -> None:
    rows: list[Line] = [
        (x, 60 + 14 * n + shift * (x > 100), words)
        for shift in (0,)
        for n, pair in enumerate(TWO_COLUMNS)
        for x, words in zip((60, 320), pair, strict=True)
    ]
    expected = [
        "The harbour master keeps the tide tables in a red cabinet beside the door. Every skipper"
        " must sign the log before dawn, and the fee for a visiting yacht is nine euros a night in"
        " summer.",
        "The museum of glass opens at ten and closes at five. Tickets for children are free on"
        " Sundays, and the furnace demonstration begins at noon every Saturday from May until the"
        " end of September.",
    ]
    assert paragraphs(pdf(rows)) == expected
    assert paragraphs(pdf(sorted(rows))) == expected
    uneven: list[Line] = [(x, y + 6 * (x > 100), words) for x, y, words in rows]
    assert paragraphs(pdf(uneven)) == expected
    title: Line = (60, 30, "A title over the complete width of both columns of this page", 16)
    assert paragraphs(pdf([title, *rows])) == [title[2], *expected]


def test_tables_keep_empty_cells() -> None:
    parsed = parse_pdf(pdf([(80, 80, "Fares of the city network", 18), *FARES]), "a.pdf")
    assert parsed.title == "Fares of the city network"
    assert [block.kind for block in parsed.blocks] == ["heading", "table"]
    assert parsed.text.endswith(FARES_TEXT)


def test_merged_and_wrapped_cells() -> None:
    lines: list[Line] = [
        (160, 100, "Adult"), (300, 100, "Child"),
        (60, 118, "Route"), (140, 118, "Weekday"), (200, 118, "Weekend"),
        (280, 118, "Weekday"), (340, 118, "Weekend"),
        (60, 136, "Harbour line"), (140, 136, "2.40"), (200, 136, "3.10"), (280, 136, "1.20"),
        (60, 154, "Night bus"), (200, 154, "4.50"), (340, 154, "2.20"),
        (60, 172, "Ferry"), (140, 172, "Closed in the winter"), (280, 172, "3.00"),
        (60, 182, "to the island"),
        (60, 200, "Prices are in euros."),
    ]  # fmt: skip
    assert parse_pdf(pdf(lines), "a.pdf").text.splitlines() == [
        "Route: Harbour line | Adult Weekday: 2.40 | Adult Weekend: 3.10 | Child Weekday: 1.20"
        " | Child Weekend: \u2014",
        "Route: Night bus | Adult Weekday: \u2014 | Adult Weekend: 4.50 | Child Weekday: \u2014"
        " | Child Weekend: 2.20",
        "Route: Ferry to the island | Adult Weekday: Closed in the winter"
        " | Adult Weekend: Closed in the winter | Child Weekday: 3.00 | Child Weekend: \u2014",
        "",
        "Prices are in euros.",
    ]


@pytest.mark.parametrize("repeats", [True, False])
def test_a_table_over_a_page_break_keeps_its_header(repeats: bool) -> None:
    def page(stations: range, has_header: bool) -> list[Line]:
        lines: list[Line] = []
        if has_header:
            lines = [(60, 60, "Station"), (160, 60, "Walk"), (260, 60, "Lift")]
        for row, n in enumerate(stations, start=1):
            lines += [(60, 60 + 18 * row, f"Station {n}"), (160, 60 + 18 * row, f"{3 * n} min")]
            lines += [(260, 60 + 18 * row, "yes")] if n % 2 else []
        return lines

    pages = [page(range(1, 36), True), page(range(36, 71), repeats), page(range(71, 80), repeats)]
    parsed = parse_pdf(pdf(*pages), "a.pdf")
    assert [block.page for block in parsed.blocks] == [1, 2, 3]
    assert [line for line in parsed.text.splitlines() if line] == [
        f"Station: Station {n} | Walk: {3 * n} min | Lift: {'yes' if n % 2 else chr(0x2014)}"
        for n in range(1, 80)
    ]


def test_running_headers_footers_and_page_numbers_are_left_out() -> None:
    pages: list[list[Line]] = [
        [
            (60, 30, "ACME Annual Report 2024", 8),
            (500, 30, f"{n + 3}", 8),
            *prose(60),
            (60, 300, f"On page {n} the sum is {13 * n} euros."),
            (280, 790, f"Page {n} of 5", 8),
        ]
        for n in range(1, 6)
    ]
    parsed = parse_pdf(pdf(*pages), "a.pdf")
    assert parsed.title == "ACME Annual Report 2024"
    assert "ACME" not in parsed.text
    assert "Page" not in parsed.text
    for n in range(1, 6):
        block = next(b for b in parsed.blocks if f"is {13 * n} " in parsed.text[b.start : b.end])
        assert block.page == n


def test_numbered_headings_at_the_top_are_no_page_numbers() -> None:
    pages: list[list[Line]] = [[(60, 60, f"Exercise {n}", 16), *prose(100)] for n in range(1, 6)]
    assert parse_pdf(pdf(*pages), "a.pdf").text.count("Exercise") == 5


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("The real title", "The real title"),
        ("untitled", "Harbour handbook"),
        ("Microsoft Word - handbook_v3.docx", "Harbour handbook"),
        ("handbook_v3.pdf", "Harbour handbook"),
        ("a", "Harbour handbook"),
        ("\\(anonymous\\)", "Harbour handbook"),
        ("", "Harbour handbook"),
    ],
)
def test_titles(metadata: str, expected: str) -> None:
    lines: list[Line] = [(60, 60, "Harbour handbook", 18), *prose(100)]
    data = pdf(lines, Title=metadata, Author="Jane Roe", Keywords="docks", Subject="unspecified")
    parsed = parse_pdf(data, "folder/a.pdf")
    assert parsed.title == expected
    assert {"author": "Jane Roe", "tags": "docks"}.items() <= parsed.metadata.items()
    assert "subject" not in parsed.metadata


def test_pages_without_text_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wavrag.text.pdf.find_engine", lambda: None)
    # In this process, which has the patch.
    monkeypatch.setitem(SMALL_BYTES, "pdf", 1 << 20)
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf(prose(60), SCAN, SCAN, [], prose(60), SCAN))
    notes: list[str] = []
    text.read(path, on_note=notes.append)
    assert notes == [
        f"{path}: no text, only pictures, on pages 2-3, 6: install tesseract or"
        ' `pip install "wavrag[ocr]"` and index it again, or run OCR first, e.g. with'
        " `ocrmypdf IN.pdf OUT.pdf`"
    ]
    path.write_bytes(pdf(SCAN))
    with pytest.raises(DocumentError, match="only images"):
        text.read(path)


TESSERACT = """#!/usr/bin/env python3
import sys
if "--list-langs" in sys.argv:
    print("List of available languages:\\ndeu\\nosd")
    sys.exit()
assert sys.argv[1:] == ["stdin", "stdout", "-l", "deu", "tsv"]
magic, width, height, depth = sys.stdin.buffer.readline().split()
assert magic == b"P5" and len(sys.stdin.buffer.read()) == int(width) * int(height)
words = [("Die", 95, 100, 100), ("Brücke", 91, 200, 100), ("ist", 90, 320, 100),
         ("neu.", 88, 400, 100), ("x", 30, 100, 400), ("|", 70, 100, 500), ("ab", 80, 100, 600)]
print("level\\tpage\\tblock\\tpar\\tline\\tword\\tleft\\ttop\\twidth\\theight\\tconf\\ttext")
for word, confidence, left, top in words:
    print(*"5 1 1 1 1 1".split(), left, top, 90, 30, confidence, word, sep="\\t")
"""


def test_pages_without_text_are_read_by_tesseract(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "tesseract"
    program.write_text(TESSERACT)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    parsed = parse_pdf(pdf(prose(60), SCAN), "a.pdf")
    assert parsed.notes == ("page 2: read by OCR (tesseract), with mistakes",)
    assert [parsed.text[b.start : b.end] for b in parsed.blocks if b.page == 2] == [
        "Die Brücke ist neu."
    ]
    program.write_text("#!/bin/sh\nexit 1")
    parsed = parse_pdf(pdf(prose(60), SCAN), "a.pdf")
    assert "no text, only pictures, on page 2: tesseract failed" in parsed.notes[0]


def test_pages_without_text_are_read_by_rapidocr(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("rapidocr")
    monkeypatch.setenv("PATH", "")
    # The words as a picture: drawn, then turned into an image of the page.
    words = pdf([(60, 100, "The lighthouse keeper counts nineteen ships", 20)])
    parsed = parse_pdf(scan(words), "a.pdf")
    assert "lighthouse keeper counts nineteen ships" in parsed.text
    assert parsed.notes == ("page 1: read by OCR (rapidocr), with mistakes",)


def test_hyphens_at_the_end_of_lines() -> None:
    lines: list[Line] = [
        (60, 60, "The well-known harbour has a large break-"),
        (60, 74, "water. A breakwater protects it. A self-"),
        (60, 88, "made pilot and a north-"),
        (60, 102, "west wind meet the well-"),
        (60, 116, "known north-west docks in the win-"),
        (60, 130, "ter."),
    ]
    assert " ".join(paragraphs(pdf(lines))) == (
        "The well-known harbour has a large breakwater. A breakwater protects it. A self-made"
        " pilot and a north-west wind meet the well-known north-west docks in the winter."
    )


def test_lists_and_tables_of_contents() -> None:
    lines: list[Line] = [
        (60, 60, "We sell these things:"),
        (60, 78, "-"), (80, 78, "ropes of hemp and of steel"),
        (60, 92, "-"), (80, 92, "anchors"),
        (60, 120, "2"), (80, 120, "Function reference . . . . . . . . . 8"),
        (60, 134, "2.1"), (80, 134, "Schema functions . . . . . . . . . 9"),
    ]  # fmt: skip
    blocks = parse_pdf(pdf(lines), "a.pdf")
    assert "- ropes of hemp and of steel\n- anchors" in blocks.text
    assert "Function reference ... 8" in blocks.text


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_pages_shown_turned_are_read_in_their_direction(angle: int) -> None:
    matrix = {90: "0 1 -1 0 600 0", 180: "-1 0 0 -1 600 800", 270: "0 -1 1 0 0 800"}[angle]
    lines = "".join(
        f"BT /F1 10 Tf 60 {500 - 14 * n} Td ({words}) Tj ET\n"
        for n, words in enumerate(["The words of this page are", "on a page shown turned."])
    )
    data = pdf(f"q {matrix} cm {lines} Q", rotate=angle)
    assert paragraphs(data) == ["The words of this page are on a page shown turned."]


def test_aes_encryption_with_an_empty_user_password() -> None:
    assert (
        parse_pdf(zlib.decompress(base64.b85decode(AES_256)), "a.pdf").text
        == "Open to all readers."
    )


# A page of the words above, encrypted by AES-256 with the owner password "boss": pypdf writes it
# only with another package.
AES_256 = (
    "c-oCrON$&;6h^a3Nfu^S;^rz0StWHJ=f0q6N#>!Vp_}O#kT8q;Ix{UjT|;$ENc;f`B7&fTf^H=E3&gdcxO5@zT!;$d"
    "B5qt{Bj~A~$xOqzu&64|`R;jq=bm%#`gn8us<@`A^<RGd{)b91&YJi}H5gR&t^0?C)f=G;vu3ZV$6>E5m?VRpYB;RQ"
    "Jokq3oWs(tsyCXWdB;RmzcS4Wc896nk?pRys{eGY>YcJ^j@m@Y`jzd5!Yl>B&MbShswYRWTdF-sscwWtS=!exmD%0W"
    "O;hOe9l!O>lBeNDbC1aIYkc_`&Y7ccw=b_P<at~lv7dLOE*Ko^J53k5!uSe(SfT%FneTP`6sliebZrR-)!VZ_C-43J"
    "?bjdfd~<pD-A`|Q^28tepI^AZ|M}|bgBLHd(Qgm-pZn|9l{I|f%Fk)G_WqsM-}xB2wI{!*pV{4g_u&UmKl}VgmwvzW"
    "&^`L>%SS&x^=Y5?B=iXby~1GJHu)%(mJOT_+-K*Km0X7;eMwRkZ3#h1s4E5y3M-ujCw1bMt1P(1ppi!@hATCil?=C;"
    "rhQ=Mv|6c29y5?0ys^?t>d|!85r=xxg?SEbuIdpRL?>lIZUF;wj|j0q$~ju_1O)&NM)HIzsF1YH96c%{jDTXD3|wbx"
    "lMEsX`i0=Q%uZyNv=$lwJ+<~VHsCRFG$}iSU_q(ibn#N75?PT5PH^Y7RGB*gNP_3ZWbh?Q<6VkA^^Q{K6l^w-O}5cU"
    "<cJtc@`bW&Y%eEp(&ZEB`cb#Pb+;dzdb3HR!!qxUZnFCN*5tN2-6$m=kKm*`*k;E8dZj&6Mq6wEIvHhrL8mloC0qe6"
    "WXvjS11U*rjss17OFD%J0USDQ3kHu##I)Q93KKPlqOrK_6B=r;%*kcTCC}P9;W1E0AlYD3f*eY8!D7@Am5RwCr!eEv"
    "9?<bq*0_ikbySK+Ya$RU<2@0K;8CxR%DuK=#hI=6>BEfHN;71qn4pneuFTIc1LrUy)j3Rw^L7B|F%9wz>)J4#m3BG5"
    "lj)m<=+RMb=w3QL)-TVoVfsYgq>EudQ->CKHbK!b;Yp<w!GNc;p{Z~j{vQ*%PPXQ$y?@v-^Z348bfN8*n<Tim)%yC@"
    "XuJ9s9<PFZ"
)
