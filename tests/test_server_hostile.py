"""Hostile and damaged uploads and requests: rejected with 4xx, and no file stays on disk."""

import gzip
import io
import socket
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from pypdf import PdfWriter

from audio_files import tone, write
from serving import OPTIONS, client, create_rag, serving, uploaded_files
from wavrag import WavRAG
from wavrag.errors import InputError
from wavrag.server import ServerOptions, limits
from wavrag.server.run import serve

LIMIT = 1 << 20
TOKEN = "correct-horse-battery"


@pytest.fixture(scope="module")
def url(rag: WavRAG) -> Iterator[str]:
    options = replace(OPTIONS, max_upload_bytes=LIMIT, max_recording_seconds=2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(limits, "MAX_REQUEST_BYTES", LIMIT)
        patch.setattr(limits, "MAX_TEXT_BYTES", LIMIT // 2)
        patch.setattr(limits, "MAX_UPLOAD_FILES", 3)
        patch.setattr(limits, "BODY_TIMEOUT", 1)
        with serving(rag, options) as address:
            yield address


@pytest.fixture
def http(url: str, rag: WavRAG) -> Iterator[httpx.Client]:
    """A client; after the test, no file may be left and no document added."""
    with client(url) as opened:
        yield opened
        assert uploaded_files(rag.kb.directory) == []
        assert opened.get("/v1/jobs").json()["jobs"] == []
        assert len(rag.kb.documents()) == 2


def raw(url: str, head: str, body: Iterable[bytes] = ()) -> bytes:
    """The reply to a request that no client library would send."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        try:
            for data in body:
                connection.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the server closed the connection
        answer = b""
        try:
            while data := connection.recv(1 << 16):
                answer += data
                if b"}}" in answer:
                    break
        except ConnectionResetError:
            pass
        return answer


UPLOAD = """POST /v1/documents HTTP/1.1
Host: localhost
Content-Type: multipart/form-data; boundary=x
Connection: close"""


def test_10_gb_are_rejected_before_they_are_sent(http: httpx.Client, url: str) -> None:
    answer = raw(url, f"{UPLOAD}\nContent-Length: {10 * 10**9}")
    assert b" 413 " in answer.splitlines()[0]


def test_a_chunked_body_is_rejected_at_the_limit(http: httpx.Client, url: str) -> None:
    sent = 0

    def body() -> Iterator[bytes]:
        nonlocal sent
        head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
        yield b"%x\r\n%s\r\n" % (len(head), head)
        while sent < 64 * LIMIT:
            sent += 1 << 16
            yield b"10000\r\n" + b"a" * (1 << 16) + b"\r\n"

    answer = raw(url, f"{UPLOAD}\nTransfer-Encoding: chunked", body())
    assert b" 413 " in answer.splitlines()[0]
    assert sent < 64 * LIMIT


def test_a_stalled_body_times_out(http: httpx.Client, url: str) -> None:
    start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'
    answer = raw(url, f"{UPLOAD}\nContent-Length: 1000", iter([start]))
    assert b" 408 " in answer.splitlines()[0]


def test_an_aborted_upload_leaves_no_files(http: httpx.Client, url: str) -> None:
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port)) as connection:
        start = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nabc'
        head = f"{UPLOAD}\nContent-Length: 1000\n\n".replace("\n", "\r\n").encode()
        connection.sendall(head + start)
    for _ in range(100):
        http.get("/healthz")


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", content)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "status"),
    [
        ("bomb.zip", zipped(bytes(50_000_000)), 415),
        ("bomb.docx", zipped(bytes(50_000_000)), 415),
        ("bomb.txt", gzip.compress(bytes(50_000_000)), 415),
        ("program.mp3", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 4, 415),
        ("picture.wav", b"\x89PNG\r\n\x1a\n" + bytes(300), 415),
        ("riff.wav", b"RIFF\xff\xff\xff\xffWAVEnonsense" + bytes(300), 415),
        ("ogg.ogg", b"OggS" + bytes(300), 415),
        ("playlist.mp3", b"#EXTM3U\nfile:///etc/passwd\n" + bytes(5), 415),
        ("empty.txt", b"", 400),
        ("blank.txt", b" \n \n", 415),
        ("long.txt", b"word " * (LIMIT // 8), 413),
    ],
)
def test_files_are_rejected_by_content(
    http: httpx.Client, name: str, content: bytes, status: int
) -> None:
    reply = http.post("/v1/documents", files={"file": (name, content)})
    assert reply.status_code == status, reply.text
    assert "/incoming/" not in reply.text


def test_a_recording_above_the_length_limit_is_rejected(http: httpx.Client, tmp_path: Path) -> None:
    long = write(tmp_path / "long.flac", tone(300, 3, 16_000)[None], 16_000)
    reply = http.post("/v1/documents", files={"file": ("long.flac", long.read_bytes())})
    assert reply.status_code == 413


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/etc/passwd",
        "..\\..\\windows\\win.ini",
        "..",
        "",
        "a\x00b.txt",
        "a\x1bb.txt",
        "\u202egpj.txt",
        "x" * 256 + ".txt",
        "x" * 100_000,
    ],
)
def test_invalid_file_names_are_rejected(http: httpx.Client, url: str, name: str) -> None:
    body = (
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
        + name.encode()
        + b'"\r\n\r\nhello there\r\n--x--\r\n'
    )
    headers = {"content-type": "multipart/form-data; boundary=x"}
    reply = http.post("/v1/documents", content=body, headers=headers)
    assert reply.status_code == 400, reply.text


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"hello", "text/plain", 415),
        (b"{}", "application/json", 415),
        (b"hello", "multipart/form-data", 415),
        (b"hello", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n\r\n", "multipart/form-data; boundary=x", 400),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 400),
        (b"", "multipart/form-data; boundary=" + "x" * 5000, 400),
    ],
)
def test_malformed_forms_are_rejected(
    http: httpx.Client, body: bytes, kind: str, status: int
) -> None:
    reply = http.post("/v1/documents", content=body, headers={"content-type": kind})
    assert reply.status_code == status, reply.text


def test_one_bad_file_rejects_the_upload(http: httpx.Client) -> None:
    files = [("file", ("good.txt", b"Good words.")), ("file", ("bad.txt", bytes(100)))]
    assert http.post("/v1/documents", files=files).status_code == 415
    many = [("file", (f"{n}.txt", b"Good words.")) for n in range(4)]
    assert http.post("/v1/documents", files=many).status_code == 413


@pytest.mark.parametrize(
    "metadata",
    ["[]", "{", '{"a": []}', '{"a": null}', '{"a": 1e999}', '{"a": "\\ud800"}', "9" * 5000],
)
def test_invalid_metadata_is_rejected(http: httpx.Client, metadata: str) -> None:
    files = {"file": ("good.txt", b"Good words.")}
    reply = http.post("/v1/documents", files=files, data={"metadata": metadata})
    assert reply.status_code == 422, reply.text
    long = http.post("/v1/documents", files=files, data={"metadata": " " * 100_000})
    assert long.status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/v1/documents/..%2f..%2fetc%2fpasswd/audio",
        "/v1/documents/%2fetc%2fpasswd/audio",
        "/v1/documents/%2fetc%2fpasswd/text",
        "/v1/documents/a%00b/audio",
        "/v1/jobs/..%2f..%2fkb.json",
        "/static/../../app.py",
        "/%2e%2e/%2e%2e/app.py",
        "/..%5c..%5capp.py",
        "/%00",
    ],
)
def test_path_traversal_is_not_found(http: httpx.Client, url: str, path: str) -> None:
    answer = raw(url, f"GET {path} HTTP/1.1\nHost: localhost\nConnection: close")
    assert b" 404 " in answer.splitlines()[0]


def test_foreign_hosts_and_origins_are_rejected(http: httpx.Client) -> None:
    assert http.get("/v1/models", headers={"host": "rebound.example"}).status_code == 421
    for origin in ("http://other.example", "null", "http://127.0.0.1:1", "http://["):
        reply = http.post("/v1/search", json={"text": "x"}, headers={"origin": origin})
        assert reply.status_code == 403
        assert "access-control-allow-origin" not in reply.headers
    own = str(http.base_url).rstrip("/")
    assert http.get("/v1/models", headers={"origin": own}).status_code == 200


def test_an_allowed_origin_gets_cors_headers(tmp_path: Path) -> None:
    friend = "https://friend.example"
    options = replace(OPTIONS, allowed_origins=(friend,), tokens=frozenset({TOKEN}))
    with create_rag(tmp_path) as rag, serving(rag, options) as url, client(url) as http:
        preflight = {"origin": friend, "access-control-request-method": "POST"}
        assert http.options("/v1/search", headers=preflight).status_code == 200
        headers = {"origin": friend, "authorization": f"Bearer {TOKEN}"}
        reply = http.get("/v1/models", headers=headers)
        assert reply.headers["access-control-allow-origin"] == friend


def test_tokens(tmp_path: Path) -> None:
    options = replace(OPTIONS, tokens=frozenset({TOKEN, "another-good-token"}))
    with create_rag(tmp_path) as rag, serving(rag, options) as url, client(url) as http:
        for path in ("/v1/documents", "/v1/search?q=x", "/metrics", "/openapi.json"):
            assert http.get(path).status_code == 401
            for header in ("", TOKEN, f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"):
                headers = {"authorization": header.encode("latin-1")}
                assert http.get(path, headers=headers).status_code == 401  # type: ignore[arg-type]
            for token in options.tokens:
                headers = {"authorization": f"Bearer {token}"}
                assert http.get(path, headers=headers).status_code == 200
        # The page asks for the token itself, and health checks have none.
        for path in ("/", "/healthz", "/readyz"):
            assert http.get(path).status_code == 200
        assert http.get("/healthz", headers={"host": "any.example"}).status_code == 200


def test_serving_other_machines_requires_a_token(tmp_path: Path) -> None:
    with create_rag(tmp_path) as rag, pytest.raises(InputError, match="give tokens"):
        serve(rag, "0.0.0.0", 0, ServerOptions())
    with pytest.raises(InputError, match="at least 16"):
        ServerOptions(tokens=frozenset({"short"}))


def test_a_pdf_bomb_is_skipped_and_deleted(rag: WavRAG, url: str, tmp_path: Path) -> None:
    from pypdf.generic import DecodedStreamObject, NameObject

    writer = PdfWriter()
    page = writer.add_blank_page(100, 100)
    stream = DecodedStreamObject()
    stream.set_data(b" " * 200_000_000)
    page[NameObject("/Contents")] = writer._add_object(stream.flate_encode(9))
    file = io.BytesIO()
    writer.write(file)
    assert len(file.getvalue()) < LIMIT
    with client(url) as http:
        reply = http.post("/v1/documents?wait=30", files={"file": ("bomb.pdf", file.getvalue())})
        job = reply.json()
        assert job["state"] == "done"
        (skipped,) = job["report"]["skipped"]
        assert skipped["source"] == "bomb.pdf"
        assert skipped["reason"].startswith("bomb.pdf: ")
    assert uploaded_files(rag.kb.directory) == []
