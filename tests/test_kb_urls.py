"""Pages, files and feeds of a real server in a knowledge base."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_files import tone, write
from serving import client, serving
from wavrag import KnowledgeBase, WavRAG
from wavrag.cli import main
from wavrag.generate import FakeGenerator
from wavrag.web import DownloadOptions
from web_server import Page, Web, web_server

RATE = 16_000
LOCAL = DownloadOptions(allow_private=True)


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    write(tmp_path / "hum.wav", tone(440, 3, RATE)[None], RATE)
    hum = (tmp_path / "hum.wav").read_bytes()
    with web_server() as server:
        server.pages |= {
            "/ferry.html": Page(
                b"<title>Ferry</title><p>Dogs travel free.", "text/html", etag='"1"'
            ),
            "/notes": Page(b"Bees dance to show where flowers are.", "text/plain"),
            "/hum": Page(hum, "audio/x-wav", etag='"h"'),
            "/one.wav": Page(hum, etag='"h"'),
            "/one.json": Page(b'{"chapters": [{"startTime": 1.5, "title": "Hum"}]}', etag='"c"'),
            "/old.wav": Page(hum),
            "/feed": Page(feed(server.url), "application/rss+xml", etag='"f"'),
        }
        yield server


def feed(url: str) -> bytes:
    return f"""<rss><channel><title>Sounds</title>
    <item><title>Old</title><pubDate>Mon, 02 Jan 2023 10:00:00 GMT</pubDate>
     <enclosure url="{url}/old.wav"/></item>
    <item><title>A hum</title><pubDate>Thu, 02 Jan 2025 10:00:00 GMT</pubDate>
     <author>Ada</author><link>{url}/about</link>
     <enclosure url="/one.wav" type="audio/wav"/><podcast:chapters url="/one.json"/></item>
    <item><title>Bees</title><pubDate>Wed, 01 Jan 2025 10:00:00 GMT</pubDate>
     <link>/notes</link></item>
    </channel></rss>""".encode()


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as opened:
        yield opened


def originals(kb: KnowledgeBase) -> list[str]:
    files = (kb.directory / "originals").glob("*/*")
    return sorted(path.name for path in files if path.name != "original.json")


def test_a_page_a_file_and_a_recording(kb: KnowledgeBase, web: Web) -> None:
    urls = [f"{web.url}/{name}" for name in ("ferry.html#top", "notes", "hum", "missing")]
    report = kb.add_urls([*urls, urls[0]], options=LOCAL, metadata={"set": "web"})
    ferry, notes, hum = f"{web.url}/ferry.html", urls[1], urls[2]
    assert report.added == [ferry, notes, hum]
    assert report.skipped == [(urls[3], "the server replied 404 Not Found: check the address")]
    documents = {document.source: document for document in kb.documents()}
    assert {source: document.title for source, document in documents.items()} == {
        ferry: "Ferry", notes: "notes", hum: "hum",
    }  # fmt: skip
    assert documents[hum].metadata == {"set": "web"}
    hit = kb.search("dogs travel free")[0]
    assert (hit.passage.source, hit.passage.text) == (ferry, "Dogs travel free.")
    assert originals(kb) == ["ferry.html", "hum.wav", "notes.txt"]


def test_what_has_not_changed_is_not_fetched_again(kb: KnowledgeBase, web: Web) -> None:
    urls = [f"{web.url}/ferry.html", f"{web.url}/notes", f"{web.url}/hum"]
    kb.add_urls(urls, options=LOCAL)
    web.requests.clear()
    sizes: list[tuple[str, int, int | None]] = []
    report = kb.add_urls(urls, options=LOCAL, on_fetch=lambda *fetched: sizes.append(fetched))
    assert report.unchanged == urls
    assert web.requests == [("/ferry.html", 304), ("/notes", 200), ("/hum", 304)]
    assert sizes == [(urls[1], 37, 37)]
    web.pages["/ferry.html"] = Page(b"# Ferry\n\nCats pay half.", "text/markdown", etag='"2"')
    assert kb.add_urls(urls, options=LOCAL).updated == urls[:1]
    assert kb.search("cats pay half")[0].passage.text == "Cats pay half."
    assert originals(kb) == ["ferry.md", "hum.wav", "notes.txt"]
    # The server fails: the document stays, with its file.
    web.pages["/ferry.html"] = Page(status=503)
    assert [url for url, _ in kb.add_urls(urls, options=LOCAL).skipped] == urls[:1]
    assert len(kb.documents()) == 3
    assert originals(kb) == ["ferry.md", "hum.wav", "notes.txt"]
    # A file that was deleted is fetched again, although its version is known.
    next((kb.directory / "originals").glob("*/hum.wav")).unlink()
    web.requests.clear()
    assert kb.add_urls(urls[2:], options=LOCAL).unchanged == urls[2:]
    assert web.requests == [("/hum", 200)]


def test_a_feed_adds_its_newest_entries_with_their_metadata(kb: KnowledgeBase, web: Web) -> None:
    report = kb.add_urls([f"{web.url}/feed"], options=LOCAL, entries=2, metadata={"author": "Eve"})
    assert report.added == [f"{web.url}/one.wav", f"{web.url}/notes"]
    ((source, note),) = report.notes
    assert source == f"{web.url}/feed"
    assert note.startswith("1 of its 3 entries are older and were not added")
    hum, bees = (kb.head(id) for id in report.added)
    assert hum is not None
    assert bees is not None
    assert (hum.title, bees.title) == ("A hum", "Bees")
    assert hum.metadata == {
        "feed": "Sounds",
        "published": "2025-01-02T10:00:00Z",
        "author": "Eve",
        "link": f"{web.url}/about",
        "chapters": "0:01 Hum",
    }
    assert (hum.section, hum.location) == ("Hum", "0:00.0-0:03.0, Hum")
    assert bees.metadata == {"feed": "Sounds", "published": "2025-01-01T10:00:00Z", "author": "Eve"}
    web.requests.clear()
    report = kb.add_urls([f"{web.url}/feed"], options=LOCAL, entries=2, metadata={"author": "Eve"})
    assert len(report.unchanged) == 2
    assert [status for path, status in web.requests if path != "/notes"] == [304, 304, 304]
    # Entries that cannot be fetched are named, and the others are added.
    web.pages["/notes"] = Page(status=410)
    web.pages["/one.json"] = Page(b"no chapters")
    report = kb.add_urls([f"{web.url}/feed"], options=LOCAL)
    assert report.added == [f"{web.url}/old.wav"]
    assert [url for url, _ in report.skipped] == [f"{web.url}/notes"]
    assert [url for url, _ in report.notes] == [f"{web.url}/one.wav"]


def test_private_addresses_and_large_files_are_skipped(kb: KnowledgeBase, web: Web) -> None:
    url = f"{web.url}/hum"
    ((source, reason),) = kb.add_urls([url]).skipped
    assert source == url
    assert "private address 127.0.0.1" in reason
    assert web.requests == []
    options = DownloadOptions(max_bytes=1_000, allow_private=True)
    ((_, reason),) = kb.add_urls([url], options=options).skipped
    assert "larger than" in reason
    ((_, reason),) = kb.add_urls(["notes.txt"]).skipped
    assert "begin it with https://" in reason
    assert kb.documents() == []
    assert not (kb.directory / "originals").exists()
    assert list(kb.directory.glob(".new-*")) == []


def test_a_file_that_cannot_be_read_is_named_by_its_url(kb: KnowledgeBase, web: Web) -> None:
    web.pages["/empty.html"] = Page(b"<html><p></p>", "text/html")
    ((source, reason),) = kb.add_urls([f"{web.url}/empty.html"], options=LOCAL).skipped
    assert source == f"{web.url}/empty.html"
    assert reason.startswith(f"{web.url}/empty.html: ")
    assert "originals" not in reason


def test_playback_after_the_knowledge_base_was_moved(
    kb: KnowledgeBase, web: Web, tmp_path: Path
) -> None:
    url = f"{web.url}/hum"
    kb.add_urls([url], options=LOCAL)
    kb.close()
    kb.directory.rename(tmp_path / "moved")
    with KnowledgeBase.open(tmp_path / "moved", embedder="fake") as moved:
        passage = moved.head(url)
        assert passage is not None
        assert moved.load_clip(passage).duration == pytest.approx(3.0, abs=0.01)
        assert moved.resolve_source(url).startswith(str(tmp_path / "moved" / "originals"))
        assert moved.resolve_source("/a/b.wav") == "/a/b.wav"
        with serving(WavRAG(moved, FakeGenerator())) as address, client(address) as http:
            reply = http.get(f"/v1/documents/{url}/audio")
            assert reply.content == web.pages["/hum"].body
            assert http.get(f"/v1/documents/{url}/audio?start=1&end=2").status_code == 200
        assert moved.remove([url]) == 1
        assert originals(moved) == []


def test_the_command(
    web: Web, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    kb = ["--kb", "base"]
    assert main(["add-url", "notes.txt", *kb]) == 1
    assert "begin it with https://" in capsys.readouterr().err
    assert not Path("base").exists()
    arguments = ["add-url", f"{web.url}/feed", f"{web.url}/ferry.html", *kb, "--embedder", "fake"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.count("has the private address 127.0.0.1") == 2
    assert main([*arguments, "--allow-private", "--entries", "1", "--meta", "year=2025"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("base: 2 documents added, 0 updated, 0 unchanged")
    assert captured.err.startswith(f"note: {web.url}/feed: 2 of its 3 entries are older")
    assert main([*arguments, "--allow-private", "--max-size", "1", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    # Other metadata is a change.
    assert (len(report["added"]), len(report["updated"])) == (2, 2)
    assert main(["kb", "remove", f"{web.url}/one.wav", *kb]) == 0
    assert main(["index", f"{web.url}/hum", *kb]) == 1
    assert "add it with `wavrag add-url`" in capsys.readouterr().err
