"""Fetch files from the web with limits, and read feeds. Standard library only."""

from wavrag.web.feeds import (
    Feed,
    FeedEntry,
    format_chapters,
    looks_like_feed,
    parse_feed,
    read_chapters,
)  # fmt: skip
from wavrag.web.fetch import (
    Download,
    DownloadCallback,
    DownloadOptions,
    download,
    normalize_url,
)  # fmt: skip
from wavrag.web.names import file_name

__all__ = [
    "Download", "DownloadCallback", "DownloadOptions", "Feed", "FeedEntry", "download", "file_name",
    "format_chapters", "looks_like_feed", "normalize_url", "parse_feed", "read_chapters",
]  # fmt: skip
