"""Read constructed bombs: small files made to take hours, gigabytes or the whole process.

    python benchmarks/attack/bombs.py

Markup without an end in every text format, deep nesting, huge titles, archives and streams that
unpack to gigabytes, forms that repeat each other exponentially, headers that lie, and recordings
that decode to hours of silence.
"""

from __future__ import annotations

import argparse
import io
import json
import struct
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from reading import read_files

SIZE = 100_000
UNITS = ("[", "![", "<", "<div>", "*a ", "`", "{", "&", "\\", "|", "# ", "> ", "- ", "\"", "=\n",
         "a\n", "| a ", "00:", "--> ", "{\\", ": ", "~", "_a")  # fmt: skip
HEADS = {
    "md": "# T\n\n", "html": "", "rst": "T\n=\n\n", "org": "* T\n",
    "srt": "1\n00:00:01,000 --> 00:00:02,000\n", "vtt": "WEBVTT\n\n00:01.000 --> 00:02.000\n",
    "eml": "From: a@b.c\nContent-Type: text/html\n\n", "csv": "a,b\n",
}  # fmt: skip
HUGE = "tide " * 250_000


def text_bombs() -> Iterator[tuple[str, bytes]]:
    """Name and content of bombs of text."""
    for suffix, head in HEADS.items():
        for number, unit in enumerate(UNITS):
            yield f"unit{number}.{suffix}", (head + unit * (SIZE // len(unit))).encode()
    yield "divs.html", b"<div>" * 100_000 + b"x"
    yield "tables.html", b"<table><tr><td>" * 20_000
    yield "spans.html", b"<table>" + b"<tr><td rowspan=65534 colspan=1000>x" * 2_000
    yield "fonts.html", b"<p><b><i><font>" * 20_000 + b"x"
    yield "heading.md", f"# {HUGE}\n\n{'Words.' * 9}\n\n".encode() + b"Words.\n\n" * 150_000
    yield "headings.md", b"".join(b"# h\n\nw\n\n" for _ in range(200_000))
    yield "title.html", f"<title>{HUGE}</title>".encode() + b"<h2>a</h2><p>b" * 80_000
    yield "header.csv", f"{HUGE},b\n".encode() + b"1,2\n" * 300_000
    yield "wide.csv", b"a," * 20_000 + b"\n" + b"1," * 500_000
    yield "keys.json", json.dumps([{HUGE: {str(n): 1 for n in range(100_000)}}]).encode()
    yield "deep.json", b"[" * 200_000 + b"]" * 200_000
    yield "deep2.json", b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    yield "number.json", b"[" + b"1" * 1_000_000 + b"]"
    alias = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    yield "alias.md", f"---\na0: &a0 [x]\n{alias}---\n\nWords.\n".encode()
    yield "lines.txt", b"\n" * 5_000_000 + b"a"
    yield "line.txt", b"a" * 5_000_000
    yield "spaces.txt", b"a" + b" " * 5_000_000 + b"a"
    yield "marks.txt", "a\u0301\u0301".encode() * 1_000_000
    yield "stops.txt", b"A. " * 1_000_000
    kind = "Content-Type: multipart/mixed; boundary=b"
    parts = "".join(f"--b{n}\n{kind}{n + 1}\n\n" for n in range(5_000))
    yield "parts.eml", f"From: a@b.c\n{kind}0\n\n{parts}".encode()
    yield "header.eml", b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n\nWords.\n"
    yield "address.eml", b"From: " + b"(" * 20_000 + b"\nSubject: a\n\nWords.\n"
    yield "rtf.rtf", b"{\\rtf1 " + b"{" * 200_000 + b"a"
    yield "codes.rtf", b"{\\rtf1 " + b"\\u1234?" * 200_000 + b"}"


def zip_bombs() -> Iterator[tuple[str, bytes]]:
    """Name and content of bombs of formats that are ZIP archives."""
    zeros = b"\0" * (200 << 20)
    office = "urn:oasis:names:tc:opendocument:xmlns"
    start = (
        f'<o:document-content xmlns:o="{office}:office:1.0" xmlns:t="{office}:text:1.0"'
        f' xmlns:b="{office}:table:1.0"><o:body>'
    )
    odf = "application/vnd.oasis.opendocument"
    row = '<b:table-row b:number-rows-repeated="1000000"><b:table-cell'
    row += ' b:number-columns-repeated="16000"><t:p>x</t:p></b:table-cell></b:table-row>'
    entity = '<!DOCTYPE a [<!ENTITY b "bb">' + "".join(
        f'<!ENTITY b{n} "{f"&b{n - 1};" * 10}">' for n in range(1, 10)
    )
    w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    nested = "<w:tbl><w:tr><w:tc>" * 3_000 + "<w:p/>" + "</w:tc></w:tr></w:tbl>" * 3_000
    members: dict[str, dict[str, bytes | str]] = {
        "zeros.odt": {"mimetype": f"{odf}.text", "content.xml": zeros},
        "mimetype.odt": {"mimetype": zeros},
        "spans.odt": {"mimetype": f"{odf}.text", "content.xml": start + "<t:span>" * 200_000},
        "rows.ods": {
            "mimetype": f"{odf}.spreadsheet",
            "content.xml": f"{start}<o:spreadsheet><b:table>{row * 50}</b:table></o:spreadsheet>"
            "</o:body></o:document-content>",
        },
        "entity.odt": {"mimetype": f"{odf}.text", "content.xml": f"{entity}]><a>&b9;</a>"},
        "zeros.docx": {"word/document.xml": zeros},
        "tables.docx": {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/'
            'content-types"><Default Extension="xml" ContentType="application/vnd.openxmlformats-'
            'officedocument.wordprocessingml.document.main+xml"/></Types>',
            "word/document.xml": f'<w:document xmlns:w="{w}"><w:body>{nested}</w:body>'
            "</w:document>",
        },
        "zeros.xlsx": {"xl/workbook.xml": zeros},
        "zeros.epub": {"mimetype": "application/epub+zip", "META-INF/container.xml": zeros},
        "many.docx": {"word/document.xml": "<a/>"} | {f"m{n}": "" for n in range(60_000)},
    }
    chapters = {f"c{n}.xhtml": "<p>" + "word " * 20_000 for n in range(200)}
    items = "".join(f'<item id="{name}" href="{name}"/>' for name in chapters)
    spine = "".join(f'<itemref idref="{name}"/>' for name in chapters) * 20
    members["spine.epub"] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<c><rootfile full-path="p.opf"/></c>',
        "p.opf": f"<package><manifest>{items}</manifest><spine>{spine}</spine></package>",
        **chapters,
    }
    for name, contents in members.items():
        yield name, _zip(contents)


def _zip(members: dict[str, bytes | str]) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return target.getvalue()


def _pdf(objects: list[bytes]) -> bytes:
    """A PDF of numbered objects; the first is the catalogue."""
    data = b"%PDF-1.7\n"
    offsets = []
    for number, content in enumerate(objects, 1):
        offsets.append(len(data))
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    head = b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (
        len(objects) + 1, len(data),
    )  # fmt: skip
    return data + head + table + trailer


def _stream(content: bytes, entries: bytes = b"") -> bytes:
    packed = zlib.compress(content, 9)
    return b"<</Length %d/Filter/FlateDecode%b>>\nstream\n%b\nendstream" % (
        len(packed), entries, packed,
    )  # fmt: skip


def pdf_bombs() -> Iterator[tuple[str, bytes]]:
    """Name and content of bombs of PDF."""
    font = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
    pages = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    page = (
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R"
        b"/Resources<</Font<</F 5 0 R>>/XObject<</X 6 0 R>>>>>>"
    )
    catalogue = b"<</Type/Catalog/Pages 2 0 R>>"
    words = b"BT /F 10 Tf 1 1 Td " + b"(ferry tide bell) Tj " * 200_000 + b"ET"
    show = b"BT /F 9 Tf %d %d Td (%d) Tj ET "
    contents = {
        "words": words,
        "letters": b"".join(show % (n * 7 % 600, n * 13 % 800, 1) for n in range(60_000)),
        "cells": b"".join(show % (n % 40 * 15, n // 40 * 3, n) for n in range(10_000)),
        "spaces": b" " * (300 << 20),
        "nested": b"q " * 5_000_000,
        "lines": b"0 0 m 9 9 l S " * 1_000_000,
        "same": show % (1, 1, 1_111) * 100_000,
    }
    for name, content in contents.items():
        yield f"{name}.pdf", _pdf([catalogue, pages, page, _stream(content), font, _stream(b"")])
    forms = []
    for level in range(12):  # each form draws the next one ten times
        entries = (
            b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]"
            b"/Resources<</Font<</F 5 0 R>>/XObject<</X %d 0 R>>>>" % (level + 7)
        )
        forms.append(_stream(b"/X Do " * 10 if level < 11 else b"BT /F 9 Tf (a) Tj ET", entries))
    yield "forms.pdf", _pdf([catalogue, pages, page, _stream(b"/X Do"), font, *forms])
    own = b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X 6 0 R>>>>"
    yield (
        "cycle.pdf",
        _pdf([catalogue, pages, page, _stream(b"/X Do"), font, _stream(b"/X Do", own)]),
    )
    kids = b"<</Type/Pages/Kids[" + b"3 0 R " * 20_000 + b"]/Count 20000>>"
    yield "kids.pdf", _pdf([catalogue, kids, page, _stream(words[:9_000]), font, _stream(b"")])
    tree = b"<</Type/Pages/Kids[2 0 R 2 0 R]/Count 2000000000>>"
    yield "tree.pdf", _pdf([catalogue, tree, page, _stream(b""), font, _stream(b"")])
    large = page.replace(b"600 800", b"6e30 8e30")
    yield (
        "page.pdf",
        _pdf([catalogue, pages, large, _stream(words[:90_000] + b"ET"), font, _stream(b"")]),
    )


def wav(channels: int, rate: int, size: int, declared: int, bits: int = 16) -> bytes:
    """A WAV file with a header of one's choice before zeros."""
    block = channels * bits // 8
    header = struct.pack(
        "<HHIIHH", 1, channels, rate, rate * block & 0xFFFFFFFF, block & 0xFFFF, bits
    )
    return (
        b"RIFF" + struct.pack("<I", (declared + 36) & 0xFFFFFFFF) + b"WAVEfmt "
        + struct.pack("<I", 16) + header + b"data" + struct.pack("<I", declared) + bytes(size)
    )  # fmt: skip


def sound_bombs() -> Iterator[tuple[str, bytes]]:
    """Name and content of bombs of sound."""
    for channels in (0, 64, 65, 100, 1_000, 65_535):
        yield f"channels{channels}.wav", wav(channels, 8_000, 400_000, 400_000)
    for rate in (0, 1, 10, 999, 768_001, 1 << 30, 0xFFFFFFFF):
        yield f"rate{rate}.wav", wav(1, rate, 400_000, 400_000)
    for declared in (0, 1, 0x7FFFFFFF, 0xFFFFFFFF):
        yield f"declared{declared}.wav", wav(2, 48_000, 400_000, declared)
    yield "bits.wav", wav(1, 8_000, 4_000_000, 4_000_000, 8)  # eight minutes of silence
    yield from _silences()


def _silences() -> Iterator[tuple[str, bytes]]:
    """Hours of silence: one packet repeated, and two packets with hours between them."""
    import av
    import numpy as np

    for name, codec, rate, count, step in (
        ("opus.mka", "libopus", 48_000, 500_000, 20), ("opus.ogg", "libopus", 48_000, 500_000, 20),
        ("gap.mka", "flac", 16_000, 2, 3_500_000), ("gaps.mka", "flac", 16_000, 40, 3_500_000),
        ("jump.mka", "flac", 16_000, 20, 2_000_000_000),
    ):  # fmt: skip
        target = io.BytesIO()
        format = "ogg" if name.endswith("ogg") else "matroska"
        with av.open(target, "w", format=format) as container:
            stream = container.add_stream(codec, rate=rate, layout="mono")
            size = rate // 50 if codec == "libopus" else 4_096
            frame = av.AudioFrame.from_ndarray(np.zeros((1, size), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = rate, 0
            packets = [*stream.encode(frame), *stream.encode(frame), *stream.encode(None)]
            data = bytes(packets[0])
            for number in range(count):
                packet = av.Packet(data)
                packet.stream = stream
                packet.time_base = stream.time_base or packets[0].time_base
                ticks = int(number * step / 1_000 / packet.time_base)
                packet.pts = packet.dts = ticks
                packet.duration = packets[0].duration
                container.mux_one(packet)
        yield f"{count}-{name}", target.getvalue()


def write_bombs(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write a bomb each time; yield kind and path."""
    for bombs in (sound_bombs, pdf_bombs, zip_bombs, text_bombs):
        for name, content in bombs():
            path = folder / name
            path.write_bytes(content)
            yield bombs.__name__.removesuffix("_bombs"), path


def main() -> int:
    """Read the bombs and print a row per group; the exit code is 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", type=Path, help="folder for bombs that fail")
    parser.add_argument("--only", default="", help="part of the names of bombs to read")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        bombs = write_bombs(Path(scratch))
        table = read_files((b for b in bombs if arguments.only in b[1].name), arguments.keep)
    table.print()
    return bool(table.failures)


if __name__ == "__main__":
    sys.exit(main())
