"""RSS and Atom feeds: entries with their recordings, titles, dates and chapters.

Entity declarations are refused: a few of them expand to gigabytes. Elements are compared by their
usual prefixes (`itunes:`, `podcast:`), because many feeds forget to declare them.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from wavrag.errors import DownloadError
from wavrag.types import format_whole_seconds

MAX_DEPTH = 100
_ROOTS = re.compile(rb"<(?:rss|feed|rdf:RDF|atom:feed)[\s>]")
_XML_ENTITIES = ("amp", "lt", "gt", "quot", "apos")
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class FeedEntry:
    """An entry of a feed.

    Attributes:
        url: URL of its recording; of its page if it has no recording.
        title: title as plain text.
        published: ISO 8601 time in UTC; empty if unknown.
        link: URL of its page; empty if unknown.
        author: author or speaker; empty if unknown.
        chapters: start in seconds and title of each chapter.
        chapters_url: URL of a file with the chapters (Podcasting 2.0); empty if there is none.
    """

    url: str
    title: str = ""
    published: str = ""
    link: str = ""
    author: str = ""
    chapters: tuple[tuple[float, str], ...] = ()
    chapters_url: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """A feed: its title, and its entries in the order of the feed."""

    title: str
    entries: tuple[FeedEntry, ...]


def looks_like_feed(head: bytes) -> bool:
    """True if the first bytes of a file are those of a feed."""
    return _ROOTS.search(head) is not None


def parse_feed(data: bytes, url: str) -> Feed:
    """Parse an RSS or Atom feed.

    Args:
        data: content of the feed.
        url: its URL, to which its links are relative.

    Raises:
        DownloadError: it is not a feed, or declares entities.
    """
    try:
        root = _parse_xml(data, url)
    except (expat.ExpatError, LookupError, ValueError):
        # Many feeds have control characters, or entities of HTML. Expat knows no encodings with
        # several bytes per character but UTF-8 and UTF-16.
        try:
            root = _parse_xml(_repair(data), url)
        except expat.ExpatError as error:
            raise DownloadError(f"{url}: is not a readable feed ({error}): add pages") from error
    channel = root if root.tag.endswith("feed") else next(_children(root, "channel"), None)
    if channel is None:
        raise DownloadError(f"{url}: is XML, but neither RSS nor Atom: add pages")
    author = _author(channel)
    # Entries of RSS 1.0 are beside the channel.
    parents = (channel,) if root is channel else (channel, root)
    elements = (child for parent in parents for child in _children(parent, "item", "entry"))
    entries = (_read_entry(element, url, author) for element in elements)
    return Feed(_text(channel, "title"), tuple(entry for entry in entries if entry is not None))


def format_chapters(chapters: Sequence[tuple[float, str]]) -> str:
    """Chapters as text.

    Example:
        >>> format_chapters([(0.0, "Intro"), (754.5, "Ferries")])
        '0:00 Intro; 12:34 Ferries'
    """
    return "; ".join(f"{format_whole_seconds(start)} {title}" for start, title in chapters)


def read_chapters(data: bytes, url: str) -> tuple[tuple[float, str], ...]:
    """Read a file with chapters in the JSON format of Podcasting 2.0.

    Raises:
        DownloadError: it is not such a file.
    """
    try:
        rows = json.loads(data)["chapters"]
        chapters = [(float(row["startTime"]), _plain(row.get("title") or "")) for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DownloadError(f"{url}: is not a file of chapters ({error})") from error
    return tuple(filter(_is_chapter, chapters))


def _parse_xml(data: bytes | str, url: str) -> Element:
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > MAX_DEPTH:
            raise DownloadError(f"{url}: is nested more than {MAX_DEPTH} levels deep: add pages")
        builder.start(name, attributes)

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(name)

    def refuse(*_: object) -> None:
        raise DownloadError(f"{url}: declares XML entities, which no feed needs: add pages")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = refuse
    parser.Parse(data, True)
    return builder.close()


def _repair(data: bytes) -> str:
    declaration = re.match(rb"[^<]*<\?xml[^>]*?encoding=[\"']([\w.-]+)", data)
    text = ""
    with suppress(LookupError):
        text = data.decode(declaration[1].decode() if declaration else "utf-8", "replace")
    text = _CONTROLS.sub("", text or data.decode("utf-8", "replace"))
    # The declaration names the encoding of the bytes, which the text no longer has.
    text = re.sub(r"^[^<]*<\?xml.*?\?>", "", text, count=1, flags=re.DOTALL)
    return re.sub(r"&(?!#)(\w*);?", _replace_entity, text[max(text.find("<"), 0) :])


def _replace_entity(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES and match[0].endswith(";"):
        return match[0]
    character = html.unescape(f"&{name};") if name else "&"
    return character if not character.startswith("&") else f"&amp;{match[0][1:]}"


def _read_entry(element: Element, base: str, author: str) -> FeedEntry | None:
    links = list(_children(element, "link", "atom:link"))
    pages = [
        link.get("href") or (link.text or "").strip()
        for link in links
        if link.get("rel", "alternate") == "alternate"
    ]
    enclosures = [
        child.get("url") or child.get("href")
        for child in (*_children(element, "enclosure", "media:content"), *links)
        if _is_recording(child)
    ]
    link = next(filter(None, pages), "")
    url = next(filter(None, enclosures), "") or link
    if not url:
        return None
    chapters_url = next((c.get("url", "") for c in _children(element, "podcast:chapters")), "")
    return FeedEntry(
        url=urljoin(base, url),
        title=_text(element, "title"),
        published=_date(_text(element, "pubDate", "published", "dc:date", "updated")),
        link=urljoin(base, link) if link else "",
        author=_author(element) or author,
        chapters=tuple(_simple_chapters(element)),
        chapters_url=urljoin(base, chapters_url) if chapters_url else "",
    )


def _is_recording(child: Element) -> bool:
    """True for the file of an entry; blogs have pictures in the same elements."""
    kind = f"{child.get('medium', '')} {child.get('type', '')}"
    if child.tag == "media:content":
        return "audio" in kind or "video" in kind
    is_enclosure = child.tag == "enclosure" or child.get("rel") == "enclosure"
    return is_enclosure and "image" not in kind


def _simple_chapters(element: Element) -> Iterator[tuple[float, str]]:
    """Podlove Simple Chapters."""
    for chapter in element.iter("psc:chapter"):
        with suppress(ValueError):
            seconds = 0.0
            for number in chapter.get("start", "").split(":"):
                seconds = 60 * seconds + float(number)
            if _is_chapter(start := (seconds, _plain(chapter.get("title", "")))):
                yield start


def _is_chapter(chapter: tuple[float, str]) -> bool:
    """False without a title, and for the nan and inf that Python reads as numbers."""
    return bool(chapter[1]) and 0 <= chapter[0] < math.inf


def _author(element: Element) -> str:
    for author in _children(element, "author"):
        if name := _text(author, "name"):
            return name
    name = _text(element, "itunes:author", "dc:creator", "author")
    # RSS has "ada@example.org (Ada)".
    match = re.fullmatch(r"\S{1,200}@\S{1,200} \((.+)\)", name)
    return match[1] if match else name


def _date(text: str) -> str:
    """ISO 8601 in UTC, so that filters compare dates as strings."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        with suppress(ValueError, OverflowError, IndexError, TypeError):
            date = parse(text)
            date = date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
            return date.strftime("%Y-%m-%dT%H:%M:%SZ")
    return ""


def _children(element: Element, *names: str) -> Iterator[Element]:
    return (child for name in names for child in element if _name(child) == name)


def _name(element: Element) -> str:
    """The tag; Atom elements may have a prefix, which never matters."""
    return element.tag.removeprefix("atom:") if element.tag != "atom:link" else element.tag


def _text(element: Element, *names: str) -> str:
    texts: Iterable[str] = ("".join(child.itertext()) for child in _children(element, *names))
    return next(filter(None, map(_plain, texts)), "")


def _plain(text: object) -> str:
    """A text on one line, without tags; titles are often escaped twice."""
    return " ".join(
        html.unescape(re.sub(r"</?[A-Za-z][^>]{0,2000}>", "", html.unescape(str(text)))).split()
    )
