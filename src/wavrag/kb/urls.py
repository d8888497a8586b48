"""Add pages, files and feeds from the web."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from wavrag.errors import DownloadError
from wavrag.kb.originals import Original, Originals
from wavrag.kb.report import AddReport, ProgressCallback
from wavrag.types import Document, Metadata, Scalar
from wavrag.web import (
    DownloadOptions,
    FeedEntry,
    format_chapters,
    looks_like_feed,
    normalize_url,
    parse_feed,
    read_chapters,
)  # fmt: skip

if TYPE_CHECKING:
    from wavrag.kb.knowledge_base import KnowledgeBase

FEED_ENTRIES = 10  # newest entries of a feed, without another number
MAX_FEED_BYTES = 32 << 20  # parsed in memory

# Called with the URL being fetched, the bytes so far and the size if the server announced it.
FetchCallback: TypeAlias = Callable[[str, int, int | None], object]


def add_urls(
    kb: KnowledgeBase,
    urls: Iterable[str],
    *,
    options: DownloadOptions,
    entries: int,
    metadata: Metadata,
    on_fetch: FetchCallback,
    on_progress: ProgressCallback | None,
) -> AddReport:
    """Fetch and add URLs; see `KnowledgeBase.add_urls`."""
    fetcher = _Fetcher(kb.originals, options, entries, metadata, on_fetch)
    documents: dict[str, Document] = {}
    for url in urls:
        for document in fetcher.fetch(url):
            documents.setdefault(document.id, document)
    report = kb.add(documents.values(), on_progress=on_progress)
    report.skipped[:0] = fetcher.skipped
    report.notes[:0] = fetcher.notes
    return report


@dataclass
class _Fetcher:
    """Downloads URLs, and describes them as documents."""

    originals: Originals
    options: DownloadOptions
    entries: int
    metadata: Metadata
    on_fetch: FetchCallback
    skipped: list[tuple[str, str]] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)

    def fetch(self, url: str) -> Iterator[Document]:
        """Yield the document of a page or of a file, or those of a feed."""
        try:
            original = self._download(url)
            with original.path.open("rb") as file:
                is_feed = looks_like_feed(file.read(1024))
            if is_feed:
                yield from self._fetch_feed(original)
            else:
                path = str(original.path)
                yield Document(original.url, path=path, source=original.url, metadata=self.metadata)
        except DownloadError as error:
            self._skip(url, error)

    def _download(self, url: str) -> Original:
        url = normalize_url(url)
        return self.originals.fetch(
            url, self.options, lambda size, total: self.on_fetch(url, size, total)
        )

    def _skip(self, url: str, error: DownloadError) -> None:
        self.skipped.append((url, str(error).removeprefix(f"{url}: ")))

    def _fetch_feed(self, original: Original) -> Iterator[Document]:
        url = original.url
        if original.path.stat().st_size > MAX_FEED_BYTES:
            raise DownloadError(f"{url}: is a feed of more than {MAX_FEED_BYTES >> 20} MB")
        feed = parse_feed(original.path.read_bytes(), original.headers.url)
        # Entries without a date come last, in the order of the feed, which is usually by date.
        newest = sorted(feed.entries, key=lambda entry: entry.published, reverse=True)
        if len(newest) > self.entries:
            self.notes.append((
                url,
                f"{len(newest) - self.entries:,} of its {len(newest):,} entries are older and were"
                " not added: raise the number of entries (--entries)",
            ))  # fmt: skip
        for entry in newest[: self.entries]:
            try:
                yield self._fetch_entry(entry, feed.title or url)
            except DownloadError as error:
                self._skip(entry.url, error)

    def _fetch_entry(self, entry: FeedEntry, feed: str) -> Document:
        original = self._download(entry.url)
        chapters = tuple(sorted(entry.chapters))
        if entry.chapters_url and not chapters:
            try:
                file = self._download(entry.chapters_url)
                chapters = tuple(sorted(read_chapters(file.path.read_bytes(), entry.chapters_url)))
            except DownloadError as error:
                self.notes.append((entry.url, f"its chapters are left out: {error}"))
        values: dict[str, Scalar] = {
            "feed": feed,
            "published": entry.published,
            "author": entry.author,
            "link": entry.link if entry.link != entry.url else "",
            "chapters": format_chapters(chapters),
        }
        return Document(
            original.url,
            path=str(original.path),
            source=original.url,
            title=entry.title,
            metadata={**{key: value for key, value in values.items() if value}, **self.metadata},
            chapters=chapters,
        )
