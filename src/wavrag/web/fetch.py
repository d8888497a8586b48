"""Download a URL to a file, with limits and without access to private networks.

The address is checked after its name is resolved, and the connection goes to the checked address:
a name that resolves to another address a moment later (DNS rebinding) gains nothing. Redirects are
checked in the same way. Proxies of the environment are not used, as they would resolve names again.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import BinaryIO, TypeAlias
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from wavrag.errors import DownloadError

STALL_SECONDS = 30.0  # without a byte from the server
READ_BYTES = 1 << 16
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Addresses of IPv4 hosts behind translators: the last 32 bits are the address.
NAT64 = ipaddress.ip_network("64:ff9b::/96")
BASE_HEADERS = {
    "User-Agent": "wavrag",
    "Accept": "*/*",
    "Accept-Encoding": "gzip",
    "Connection": "close",
}

# Called with the bytes so far and the size that the server announced, if it did.
DownloadCallback: TypeAlias = Callable[[int, int | None], object]
Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """Limits of a download.

    Attributes:
        max_bytes: size of the file, after decompression.
        max_seconds: time for the whole download, with its redirects.
        max_redirects: number of redirects.
        allow_private: True to connect also to loopback, link-local and private addresses.
    """

    max_bytes: int = 1 << 30
    max_seconds: float = 600.0
    max_redirects: int = 5
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Download:
    """Headers of a downloaded file.

    Attributes:
        url: URL after redirects.
        content_type: media type in lower case, without parameters; empty if unknown.
        etag: version for the next request; so is `last_modified`. Empty if unknown.
        file_name: name that the server suggests; empty if it suggests none.
    """

    url: str
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""
    file_name: str = ""


def normalize_url(url: str) -> str:
    """Check a URL, and return it in ASCII without its fragment.

    Raises:
        DownloadError: it is not an HTTP URL, or has a password.

    Example:
        >>> normalize_url("HTTPS://Example.org/a b#top")
        'https://example.org/a%20b'
    """
    try:
        components = urlsplit(url.strip())
        host = (components.hostname or "").encode("idna").decode()
        port = components.port
    except (ValueError, UnicodeError) as error:
        raise DownloadError(f"{url}: is not a URL ({error}): correct it") from error
    if components.scheme not in ("http", "https") or not host:
        raise DownloadError(f"{url}: is not a web address: begin it with https://")
    if components.username is not None or components.password is not None:
        raise DownloadError(
            f"{components.hostname}: the URL holds a password: download it, then index it"
        )
    if port == DEFAULT_PORTS[components.scheme]:
        port = None
    netloc = f"[{host}]" if ":" in host else host
    safe = "/%:@!$&'()*+,;=~"
    return urlunsplit((
        components.scheme,
        netloc if port is None else f"{netloc}:{port}",
        quote(components.path or "/", safe, errors="surrogateescape"),
        quote(components.query, f"{safe}?[]", errors="surrogateescape"),
        "",
    ))  # fmt: skip


def download(
    url: str,
    target: Path,
    options: DownloadOptions | None = None,
    *,
    etag: str = "",
    last_modified: str = "",
    on_progress: DownloadCallback = lambda size, total: None,
) -> Download | None:
    """Download a URL to a file.

    Args:
        url: HTTP or HTTPS URL.
        target: file to write; it is removed if the download fails.
        options: limits.
        etag: version of an earlier download.
        last_modified: time of this version, as the server stated it.
        on_progress: called after each block.

    Returns:
        The headers; None if the file has not changed since the earlier download.

    Raises:
        DownloadError: the server does not deliver it within the limits, or its address is private.
    """
    options = options or DownloadOptions()
    conditions = {"If-None-Match": etag, "If-Modified-Since": last_modified}
    headers = {name: value for name, value in conditions.items() if value}
    current = normalize_url(url)
    with _time_limit(url, options.max_seconds) as watch:
        for _ in range(options.max_redirects + 1):
            with _request(current, headers, options, watch) as response:
                location = response.headers.get("Location")
                if response.status in REDIRECTS and location:
                    # Headers are decoded as Latin-1, but some servers send UTF-8.
                    location = location.encode("latin-1").decode(errors="surrogateescape")
                    current = normalize_url(urljoin(current, location))
                    continue
                if response.status == http.client.NOT_MODIFIED and headers:
                    return None
                if response.status != http.client.OK:
                    raise DownloadError(
                        f"{url}: the server replied {response.status} {response.reason}: check the"
                        " address"
                    )
                _save(url, response, target, options.max_bytes, on_progress)
                if watch.is_over:
                    # Without a length, the connection that was shut down looks like the end.
                    target.unlink()
                    raise TimeoutError
                return _describe(current, response.headers)
    raise DownloadError(f"{url}: more than {options.max_redirects} redirects: check the address")


class _TimeLimit:
    """Shuts the current connection down when the time is over.

    Timeouts of a socket alone would let a server send a byte every few seconds for ever.
    """

    def __init__(self) -> None:
        self.is_over = False
        self.socket: socket.socket | None = None

    def end(self) -> None:
        self.is_over = True
        if self.socket is not None:
            with suppress(OSError):
                # Not the method of SSLSocket, which would take its state from the reading thread.
                socket.socket.shutdown(self.socket, socket.SHUT_RDWR)


@contextmanager
def _time_limit(url: str, seconds: float) -> Iterator[_TimeLimit]:
    """Translate the errors of a download, and end it in time."""
    watch = _TimeLimit()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    except (OSError, http.client.HTTPException, zlib.error) as error:
        if watch.is_over:
            raise DownloadError(
                f"{url}: took longer than {seconds:g} s: raise the limit"
            ) from error
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise DownloadError(f"{url}: cannot be fetched ({reason}): try again later") from error
    finally:
        timer.cancel()


@contextmanager
def _request(
    url: str, headers: dict[str, str], options: DownloadOptions, watch: _TimeLimit
) -> Iterator[http.client.HTTPResponse]:
    components = urlsplit(url)
    host = components.hostname or ""
    is_secure = components.scheme == "https"
    kind = http.client.HTTPSConnection if is_secure else http.client.HTTPConnection
    # With the port, as http.client would take the end of an IPv6 address for one.
    connection = kind(host, components.port or DEFAULT_PORTS[components.scheme])
    try:
        plain = _connect(host, connection.port, options.allow_private)
        watch.socket = plain
        connection.sock = plain
        if is_secure:
            context = ssl.create_default_context()
            connection.sock = watch.socket = context.wrap_socket(plain, server_hostname=host)
        if watch.is_over:
            raise TimeoutError
        target = urlunsplit(("", "", components.path, components.query, ""))
        connection.request("GET", target, headers=BASE_HEADERS | headers)
        with connection.getresponse() as response:
            yield response
    finally:
        connection.close()


def _connect(host: str, port: int, allow_private: bool) -> socket.socket:
    """Connect to the first address of a host that is allowed and answers."""
    failure: OSError | None = None
    private: list[str] = []
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        if not allow_private and not _is_public(str(address[0])):
            private.append(str(address[0]))
            continue
        connection = socket.socket(family, kind, protocol)
        connection.settimeout(STALL_SECONDS)
        try:
            connection.connect(address)
            return connection
        except OSError as error:
            connection.close()
            failure = error
    if failure is None:
        raise DownloadError(
            f"{host}: has the private address {', '.join(dict.fromkeys(private))}: allow private"
            " addresses (--allow-private) if you trust the source of this URL"
        )
    raise failure


def _is_public(text: str) -> bool:
    """True for an address of the internet, also inside an IPv6 address that stands for it."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None and address.is_site_local:
            return False
        address = inner or address
    # Reserved: also the old form ::127.0.0.1, which some systems still connect.
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _save(
    url: str,
    response: http.client.HTTPResponse,
    target: Path,
    max_bytes: int,
    on_progress: DownloadCallback,
) -> None:
    length_header = response.headers.get("Content-Length", "")
    # Python refuses to convert thousands of digits.
    total = int(length_header[:18]) if length_header.isdecimal() else None
    too_large = DownloadError(f"{url}: is larger than {max_bytes >> 20} MB: raise the limit")
    if total is not None and total > max_bytes:
        raise too_large
    try:
        with target.open("wb") as file:
            size = 0
            received = 0
            for block, received in _blocks(url, response, max_bytes):
                size += len(block)
                if size > max_bytes:
                    raise too_large
                _write(file, block)
                on_progress(received, total)
        if total is not None and received < total:
            raise DownloadError(
                f"{url}: the connection ended after {received} of {total} bytes: try again later"
            )
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def _write(file: BinaryIO, block: bytes) -> None:
    try:
        file.write(block)
    except OSError as error:
        raise DownloadError(f"cannot write {file.name}: {error.strerror or error}") from error


def _blocks(
    url: str, response: http.client.HTTPResponse, max_bytes: int
) -> Iterator[tuple[bytes, int]]:
    """Yield blocks of the decompressed body with the bytes received so far."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip", "deflate"):
        raise DownloadError(f"{url}: is compressed with {encoding}: download it, then index it")
    # 32: detect the header, of gzip or zlib.
    decoder = zlib.decompressobj(32 + zlib.MAX_WBITS) if encoding not in ("identity", "") else None
    received = 0
    while data := response.read(READ_BYTES):
        received += len(data)
        while data:
            # Bounded: a few bytes may decompress to gigabytes.
            yield (decoder.decompress(data, READ_BYTES) if decoder else data), received
            data = decoder.unconsumed_tail if decoder else b""
    if decoder and not decoder.eof:
        raise DownloadError(f"{url}: the compressed data ended early: try again later")


def _describe(url: str, headers: Message) -> Download:
    return Download(
        url,
        headers.get_content_type() if "Content-Type" in headers else "",
        " ".join(headers.get("ETag", "").split()),
        " ".join(headers.get("Last-Modified", "").split()),
        headers.get_filename() or "",
    )
