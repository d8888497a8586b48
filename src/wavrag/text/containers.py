"""Open documents that are ZIP archives of XML, with limits against hostile files."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from xml.etree.ElementTree import Element, ParseError, XMLParser

from wavrag.errors import DocumentError

MAX_BYTES = 512 << 20  # of a document after decompression
MAX_MEMBERS = 20_000
MAX_RATIO = 300  # of a member larger than `SMALL_BYTES`; repetitive XML reaches 100
SMALL_BYTES = 16 << 20


@contextmanager
def open_zip(data: bytes) -> Iterator[zipfile.ZipFile]:
    """Open an archive and check its declared sizes, as a context manager.

    Raises:
        DocumentError: it is damaged, encrypted or too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            total = sum(member.file_size for member in members)
            if total > MAX_BYTES or len(members) > MAX_MEMBERS or any(map(_is_bomb, members)):
                raise DocumentError(
                    f"unpacks to {len(members):,} files of {total:,} bytes, which is more than a"
                    " document needs: leave it out"
                )
            yield archive
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, KeyError, ValueError) as error:
        raise DocumentError(f"is damaged ({error}): replace it with an intact copy") from error
    except (RuntimeError, NotImplementedError) as error:
        raise DocumentError(f"cannot be unpacked ({error}): save it without a password") from error


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    ratio = member.file_size / max(member.compress_size, 1)
    return member.file_size > SMALL_BYTES and ratio > MAX_RATIO


def parse_xml(data: bytes) -> Element:
    """Parse XML without entities of its own, which could expand without limit.

    Raises:
        DocumentError: it is not well-formed, or declares entities.
    """
    if b"<!ENTITY" in data:
        raise DocumentError("declares XML entities, which are not expanded: save it again")
    parser = XMLParser()
    try:
        parser.feed(data)
        return parser.close()
    except (ParseError, LookupError, ValueError) as error:
        raise DocumentError(f"is damaged ({error}): replace it with an intact copy") from error


def local_name(element: Element) -> str:
    """The name of an element without its namespace; comments have none."""
    tag = element.tag
    return tag.rpartition("}")[2] if isinstance(tag, str) else ""


def attribute(element: Element, name: str) -> str:
    """The value of an attribute in any namespace; empty if there is none."""
    return next((v for key, v in element.items() if key.rpartition("}")[2] == name), "")
