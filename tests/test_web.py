"""Downloads with limits from a real server, names of files, and feeds."""

import gzip
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wavrag.errors import DownloadError
from wavrag.web import (
    Download,
    DownloadOptions,
    Feed,
    download,
    file_name,
    format_chapters,
    looks_like_feed,
    normalize_url,
    parse_feed,
    read_chapters,
)
from wavrag.web import fetch as fetch_module
from web_server import Page, Web, web_server

LOCAL = DownloadOptions(allow_private=True)


@pytest.fixture(scope="module")
def web() -> Iterator[Web]:
    with web_server() as server:
        yield server


def get(web: Web, path: str, target: Path, **limits: Any) -> Download | None:
    return download(web.url + path, target, DownloadOptions(allow_private=True, **limits))


def test_a_file_and_its_version(web: Web, tmp_path: Path) -> None:
    headers = {"Last-Modified": "Sat, 01 Nov 2025 10:00:00 GMT"}
    web.pages["/a"] = Page(b"ferry" * 50_000, "Text/HTML; charset=utf-8", 200, headers, '"v1"')
    target, sizes = tmp_path / "a", []
    options = {"options": LOCAL, "on_progress": lambda size, total: sizes.append((size, total))}
    result = download(f"{web.url}/a#top", target, **options)  # type: ignore[arg-type]
    assert result == Download(f"{web.url}/a", "text/html", '"v1"', headers["Last-Modified"])
    assert target.read_bytes() == b"ferry" * 50_000
    assert sizes[-1] == (250_000, 250_000)
    assert download(f"{web.url}/a", target, LOCAL, etag='"v1"') is None
    assert target.stat().st_size == 250_000
    assert web.agents[-1].startswith("wavrag")


def test_redirects_are_followed_up_to_a_limit(web: Web, tmp_path: Path) -> None:
    web.pages["/r1"] = Page(status=301, headers={"Location": "r2?x=ä b".encode().decode("latin-1")})
    web.pages["/r2?x=%C3%A4%20b"] = Page(status=302, headers={"Location": f"{web.url}/end"})
    web.pages["/end"] = Page(b"end")
    result = get(web, "/r1", tmp_path / "a", max_redirects=2)
    assert result is not None
    assert result.url == f"{web.url}/end"
    with pytest.raises(DownloadError, match="more than 1 redirects"):
        get(web, "/r1", tmp_path / "a", max_redirects=1)
    web.pages["/loop"] = Page(status=307, headers={"Location": "/loop"})
    with pytest.raises(DownloadError, match="more than 5 redirects"):
        get(web, "/loop", tmp_path / "a")
    for location in ("file:///etc/passwd", "ftp://example.org/a"):
        web.pages["/out"] = Page(status=302, headers={"Location": location})
        with pytest.raises(DownloadError, match="is not a web address"):
            get(web, "/out", tmp_path / "a")


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (Page(status=404), "replied 404 Not Found"),
        (Page(b"x" * 5_000), "larger than 0 MB"),
        (Page(headers={"Content-Length": "99999999999"}), "larger than 0 MB"),
        (Page(headers={"Content-Length": "9" * 5_000}), "larger than 0 MB"),
        (Page(b"short", headers={"Content-Length": "50"}), "ended after 5 of 50 bytes"),
        (Page(gzip.compress(b"x" * 5_000), headers={"Content-Encoding": "gzip"}), "larger than"),
        (Page(gzip.compress(b"xy")[:-9], headers={"Content-Encoding": "gzip"}), "ended early"),
        (Page(b"no gzip", headers={"Content-Encoding": "gzip"}), "cannot be fetched"),
        (Page(b"x", headers={"Content-Encoding": "br"}), "compressed with br"),
        (Page(status=304), "replied 304"),
        (Page(status=302), "replied 302"),
    ],
)
def test_bad_replies_leave_no_file(web: Web, tmp_path: Path, page: Page, message: str) -> None:
    web.pages["/bad"] = page
    with pytest.raises(DownloadError, match=message) as failure:
        get(web, "/bad", tmp_path / "a", max_bytes=4_000)
    assert str(failure.value).startswith(f"{web.url}/bad: ")
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_is_stopped_after_its_limit(web: Web, tmp_path: Path) -> None:
    compressor = zlib.compressobj(9, wbits=31)
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(200)) + compressor.flush()
    web.pages["/bomb"] = Page(bomb, headers={"Content-Encoding": "gzip"})
    assert len(bomb) < 300_000
    with pytest.raises(DownloadError, match="larger than 1 MB"):
        get(web, "/bomb", tmp_path / "a", max_bytes=1 << 20)
    for encoding, data in (("gzip", gzip.compress(b"text")), ("deflate", zlib.compress(b"text"))):
        web.pages["/good"] = Page(data, headers={"Content-Encoding": encoding})
        get(web, "/good", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == b"text"


@pytest.mark.parametrize("slow", ["head", "body"])
def test_a_slow_server_is_left_in_time(web: Web, tmp_path: Path, slow: str) -> None:
    def drip(stream: Any) -> None:
        for _ in range(200):
            stream.write(b"x")
            stream.flush()
            time.sleep(0.05)

    if slow == "body":
        web.pages["/slow"] = Page(write=drip)
        url = f"{web.url}/slow"
        with pytest.raises(DownloadError, match=r"took longer than 0\.4 s"):
            download(url, tmp_path / "a", DownloadOptions(allow_private=True, max_seconds=0.4))
    else:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # accepts, and says nothing
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            with pytest.raises(DownloadError, match=r"took longer than 0\.4 s"):
                download(url, tmp_path / "a", DownloadOptions(allow_private=True, max_seconds=0.4))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0.0.0.0", "[::1]"])
def test_private_addresses_are_refused(web: Web, tmp_path: Path, host: str) -> None:
    port = web.url.rpartition(":")[2]
    count = len(web.requests)
    with pytest.raises(DownloadError, match=r"has the private address .*--allow-private"):
        download(f"http://{host}:{port}/a", tmp_path / "a")
    assert len(web.requests) == count


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("93.184.215.14", True), ("2606:4700::1111", True), ("10.0.0.1", False),
        ("172.16.0.1", False), ("192.168.1.1", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("224.0.1.1", False), ("fe80::1%eth0", False), ("fd00::1", False),
        ("::ffff:127.0.0.1", False), ("::ffff:93.184.215.14", True), ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d70e", True), ("2002:7f00:1::", False), ("::", False),
        ("::127.0.0.1", False), ("fec0::1", False), ("255.255.255.255", False),
        ("198.18.0.1", False),
    ],
)  # fmt: skip
def test_public_addresses(address: str, is_public: bool) -> None:
    assert fetch_module._is_public(address) is is_public


def resolve(monkeypatch: pytest.MonkeyPatch, web: Web, names: dict[str, list[str]]) -> list[str]:
    """Let names resolve to one address after the other; connections go to the test's server."""
    lookups: list[str] = []
    port = int(web.url.rpartition(":")[2])

    def getaddrinfo(host: str, *_: object) -> list[Any]:
        lookups.append(host)
        addresses = names[host]
        address = addresses.pop(0) if len(addresses) > 1 else addresses[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    class Routed(socket.socket):
        def connect(self, address: Any) -> None:
            peers.append(address[0])
            super().connect(("127.0.0.1", port))

    peers: list[str] = []
    monkeypatch.setattr(fetch_module.socket, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fetch_module.socket, "socket", Routed)
    return peers


def test_a_redirect_to_a_private_address_is_refused(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.pages["/go"] = Page(status=302, headers={"Location": "http://inside.example/secret"})
    web.pages["/secret"] = Page(b"secret")
    names = {"public.example": ["93.184.215.14"], "inside.example": ["10.0.0.7"]}
    peers = resolve(monkeypatch, web, names)
    with pytest.raises(DownloadError, match=r"inside.example: has the private address 10\.0\.0\.7"):
        download("http://public.example/go", tmp_path / "a")
    assert peers == ["93.184.215.14"]
    assert list(tmp_path.iterdir()) == []


def test_dns_rebinding_gains_nothing(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.pages["/page"] = Page(b"a page")
    # A second look-up would get the private address.
    peers = resolve(monkeypatch, web, {"rebind.example": ["93.184.215.14", "127.0.0.1"]})
    download("http://rebind.example/page", tmp_path / "a")
    assert peers == ["93.184.215.14"]
    with pytest.raises(DownloadError, match="private address"):
        download("http://rebind.example/page", tmp_path / "a")
    assert peers == ["93.184.215.14"]


@pytest.mark.parametrize(
    ("url", "result"),
    [
        ("HTTPS://Example.ORG:443", "https://example.org/"),
        ("http://example.org:8080/a?b=c d#e", "http://example.org:8080/a?b=c%20d"),
        ("https://münchen.example/straße", "https://xn--mnchen-3ya.example/stra%C3%9Fe"),
        ("https://example.org/%C3%9F?u=http://x/", "https://example.org/%C3%9F?u=http://x/"),
        ("http://[2606:4700::1]:80/", "http://[2606:4700::1]/"),
    ],
)
def test_urls_are_compared_in_one_form(url: str, result: str) -> None:
    assert normalize_url(url) == normalize_url(result) == result


@pytest.mark.parametrize(
    "url",
    ["", "example.org/a", "file:///etc/passwd", "http://", "http://a..b/", "http://[::1/", "ftp://a/",
     "http://u:p@example.org/", "http://example.org:99999/", "javascript:alert(1)"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(DownloadError) as failure:
        normalize_url(url)
    assert "u:p" not in str(failure.value)


@pytest.mark.parametrize(
    ("url", "headers", "head", "name"),
    [
        ("https://a.org/talks/ferry.mp3?x=1", Download("", "audio/mpeg"), b"ID3", "ferry.mp3"),
        ("https://a.org/play?id=7", Download("", "audio/x-m4a"), b"", "play.m4a"),
        ("https://a.org/book.m4b", Download("", "audio/mp4"), b"", "book.m4a"),
        ("https://a.org/", Download("", "text/html"), b"<!doctype html><p>", "a.org.html"),
        ("https://a.org/page.php", Download("", "text/html"), b"<p>Text", "page.html"),
        ("https://a.org/talk.mp3", Download("", "audio/mpeg"), b"<!DOCTYPE html>", "talk.html"),
        ("https://a.org/notes.md", Download("", "text/plain"), b"# Notes", "notes.md"),
        ("https://a.org/notes", Download("", "text/plain"), b"Notes", "notes.txt"),
        ("https://a.org/get", Download("", "application/octet-stream"), b"%PDF-1.7", "get.pdf"),
        ("https://a.org/get", Download("", "", "", "", "../../my talk.ogg"), b"Og", "my talk.ogg"),
        ("https://a.org/a%2F..%2Fb%00.txt", Download(""), b"", "b.txt"),
        ("https://a.org/.bashrc", Download(""), b"", "bashrc"),
    ],
)
def test_names_of_downloads(url: str, headers: Download, head: bytes, name: str) -> None:
    assert file_name(url, headers, head) == name


RSS = """<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"
 xmlns:psc="http://podlove.org/simple-chapters" xmlns:podcast="https://podcastindex.org/namespace/1.0"
 xmlns:atom="http://www.w3.org/2005/Atom">
<channel><title>Harbour &amp;amp; Sea</title><itunes:author>Ada</itunes:author>
<atom:link href="https://a.org/feed.xml" rel="self"/><link>https://a.org/</link>
<item><title><![CDATA[Ferries in <b>winter</b>]]></title><link>https://a.org/1</link>
 <pubDate>Sat, 01 Nov 2025 10:00:00 +0200</pubDate>
 <enclosure url="/audio/1.mp3" type="audio/mpeg" length="3"/>
 <psc:chapters><psc:chapter start="00:00:00" title="Intro"/>
 <psc:chapter start="1:02:03.5" title="Ice"/><psc:chapter start="inf" title="Bad"/></psc:chapters>
</item>
<item><title>Lighthouses</title><author>bob@a.org (Bob)</author>
 <enclosure url="https://cdn.a.org/2.m4a"/><podcast:chapters url="2.json"/></item>
<item><title>News</title><link>https://a.org/news</link>
 <enclosure url="https://a.org/news.jpg" type="image/jpeg"/>
 <media:content url="https://a.org/news.png" medium="image"/></item>
<item><title>Nothing</title></item>
</channel></rss>"""


def check_rss(feed: Feed) -> None:
    assert feed.title == "Harbour & Sea"
    first, second, third = feed.entries
    assert (first.url, first.title) == ("https://a.org/audio/1.mp3", "Ferries in winter")
    assert (first.published, first.link) == ("2025-11-01T08:00:00Z", "https://a.org/1")
    assert (first.author, second.author) == ("Ada", "Bob")
    assert first.chapters == ((0.0, "Intro"), (3723.5, "Ice"))
    assert format_chapters(first.chapters) == "0:00 Intro; 1:02:03 Ice"
    assert (second.url, second.chapters_url) == ("https://cdn.a.org/2.m4a", "https://a.org/2.json")
    assert (third.url, third.published) == ("https://a.org/news", "")


def test_a_podcast_feed() -> None:
    assert looks_like_feed(RSS.encode())
    check_rss(parse_feed(RSS.encode(), "https://a.org/feed.xml"))


@pytest.mark.parametrize(
    "broken",
    [
        "\ufeff\n \n" + RSS,
        RSS.replace("winter", "winter\x0c"),
        RSS.replace("<title>News", "<category>a&nbsp;b & c &copy; &lt;</category><title>News"),
        RSS.replace(' xmlns:atom="http://www.w3.org/2005/Atom"', ""),
        RSS.replace("utf-8", "windows-1252"),
        RSS.replace("utf-8", "no-such-encoding"),
        RSS.replace("utf-8", "shift_jis"),
    ],
)  # fmt: skip
def test_broken_feeds_are_read_too(broken: str) -> None:
    check_rss(parse_feed(broken.encode(), "https://a.org/feed.xml"))


def test_an_atom_feed_and_one_of_rss_1() -> None:
    atom = b"""<feed xmlns="http://www.w3.org/2005/Atom"><title>Talks</title>
    <link rel="self" href="https://a.org/atom.xml"/><author><name>Ada</name></author>
    <entry><title type="html">A &amp;lt;b&gt; talk</title><updated>2025-11-02T09:00:00Z</updated>
    <published>2025-11-01T23:30:00-02:00</published>
    <link rel="enclosure" href="talk.ogg" type="audio/ogg"/><link href="https://a.org/talk"/></entry>
    <entry><title>Page</title><link rel="alternate" href="p.html"/><updated>soon</updated></entry>
    </feed>"""
    feed = parse_feed(atom, "https://a.org/x/atom.xml")
    assert feed.title == "Talks"
    talk, page = feed.entries
    assert (talk.url, talk.link) == ("https://a.org/x/talk.ogg", "https://a.org/talk")
    assert (talk.published, talk.author) == ("2025-11-02T01:30:00Z", "Ada")
    assert (page.url, page.published) == ("https://a.org/x/p.html", "")
    rdf = b"""<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns="http://purl.org/rss/1.0/"><channel><title>Old</title></channel>
    <item><title>Entry</title><link>https://a.org/e</link></item></rdf:RDF>"""
    assert [entry.url for entry in parse_feed(rdf, "https://a.org/").entries] == ["https://a.org/e"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'<!DOCTYPE rss [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><rss>&b;</rss>', "XML entities"),
        (b'<!DOCTYPE rss [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss>&x;</rss>', "XML entities"),
        (b"<rss>" + b"<a>" * 5_000, "levels deep"),
        (b"<rss><channel>", "not a readable feed"),
        (b"<opml/>", "neither RSS nor Atom"),
        (b"", "not a readable feed"),
    ],
)
def test_hostile_and_other_xml_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(DownloadError, match=message):
        parse_feed(data, "https://a.org/feed.xml")


@given(st.data())
def test_no_mutation_of_a_feed_has_a_traceback(data: st.DataObject) -> None:
    mutated = bytearray(RSS.encode())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutated) - 2))
        mutated[at : at + data.draw(st.integers(0, 9))] = data.draw(st.binary(max_size=4))
    with suppress(DownloadError):
        parse_feed(bytes(mutated), "https://a.org/feed.xml")


def test_chapters_of_podcasting_2() -> None:
    data = b'{"chapters": [{"startTime": 0, "title": "Intro"}, {"startTime": 61.5},'
    data += b'{"startTime": NaN, "title": "Bad"}, {"startTime": -1, "title": "Bad"}]}'
    assert read_chapters(data, "u") == ((0.0, "Intro"),)
    for bad in (b"", b"[]", b'{"chapters": [1]}', b'{"chapters": [{"startTime": "x"}]}'):
        with pytest.raises(DownloadError, match="not a file of chapters"):
            read_chapters(bad, "u")
