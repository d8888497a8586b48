"""The library over HTTP: files, folders, watched folders, speakers and suggested questions."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import numpy as np
import pytest

from audio_files import tone, write
from serving import BEES, client, serving
from wavrag import KnowledgeBase, WavRAG
from wavrag.kb import FileChecks, digest_file
from wavrag.server import ServerOptions
from wavrag.server.files import OriginalResponse
from wavrag.server.watcher import FolderWatcher
from wavrag.types import Document

MEETING = """WEBVTT

00:00.000 --> 00:04.000
<v speaker 1>The bridge stays closed until May.

00:04.000 --> 00:07.000
<v speaker 2>Who pays for the paint?
"""
NOON = 1_700_000_000  # seconds since 1970: 2023-11-14T22:13:20


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watched")
    (folder / "minutes.vtt").write_text(MEETING)
    (folder / "empty.pdf").write_bytes(b"%PDF-1.4\nbroken")
    (folder / "garden.md").write_text(
        "# The garden\n\n## Watering\n\nThe watering takes two cans.\n"
    )
    (folder / "tool.exe").write_bytes(b"MZ\0\0")
    return folder


@pytest.fixture(scope="module")
def http(rag: WavRAG, watched: Path) -> Iterator[httpx.Client]:
    options = ServerOptions(voice="fake", watch_folders=(str(watched),))
    with serving(rag, options) as url, client(url) as opened:
        yield opened


def wait_until_watching(http: httpx.Client) -> dict[str, object]:
    for _ in range(600):
        status: dict[str, object] = http.get("/v1/watch").json()
        if status["runs"]:
            return status
        time.sleep(0.05)
    raise AssertionError(status)


def test_watched_folders_state_runs_and_kinds_that_are_not_read(
    http: httpx.Client, watched: Path
) -> None:
    status = wait_until_watching(http)
    assert (status["state"], status["error"]) == ("watching", None)
    assert status["folders"] == [str(watched)]
    (run,) = status["runs"]
    assert [run[name] for name in ("added", "updated", "moved", "removed")] == [2, 0, 0, 0]
    (unread,) = status["unread"]
    assert (unread["kind"], unread["files"]) == (".exe", [str(watched / "tool.exe")])
    (skipped,) = status["skipped"]
    assert skipped["source"] == str(watched / "empty.pdf")


def test_an_unexpected_error_of_a_watcher_is_shown() -> None:
    class BrokenKnowledgeBase:
        def watch(self, *arguments: object, **keywords: object) -> Iterator[object]:
            raise OSError("the disk was removed")
            yield

    watcher = FolderWatcher(cast("KnowledgeBase", BrokenKnowledgeBase()), ["/folder"])
    watcher.start()
    watcher.stop()
    assert (watcher.state, watcher.error) == (
        "stopped", "internal server error: see the log of the server",
    )  # fmt: skip


def test_documents_have_folders_kinds_and_times(http: httpx.Client, watched: Path) -> None:
    wait_until_watching(http)
    os.utime(watched / "minutes.vtt", (NOON, NOON))
    page = http.get("/v1/documents?sort=newest").json()
    rows = {row["name"]: row for row in page["documents"]}
    assert list(rows)[-1] == "minutes.vtt"
    minutes = rows["minutes.vtt"]
    assert minutes["folder"] == str(watched)
    assert (minutes["kind"], minutes["modified"]) == ("vtt", "2023-11-14T22:13:20+00:00")
    assert page["kinds"] == ["md", "txt", "vtt"]
    assert str(watched) in page["folders"]
    assert len(page["folders"]) == 2

    def names(**filters: str) -> list[str]:
        found = http.get("/v1/documents", params=filters).json()["documents"]
        return [row["name"] for row in found]

    assert names(folder=str(watched)) == ["minutes.vtt", "garden.md"]
    assert len(names(folder=str(watched.parent))) == 4
    assert names(folder=str(watched)[:-1]) == []  # a name, not its beginning
    assert names(kind="md") == ["bees.md", "garden.md"]
    assert names(sort="kind") == ["bees.md", "garden.md", "ferry.txt", "minutes.vtt"]
    assert names(id=minutes["id"]) == ["minutes.vtt"]
    one = http.get(f"/v1/documents/{minutes['id'].replace('/', '%2F')}").json()
    assert one == minutes


def test_originals_are_shown_or_saved(http: httpx.Client, rag: WavRAG, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text("<html><body><p>Swifts sleep in flight.</p><script>1</script></body></html>")
    rag.kb.add([Document("page", path=str(page)), Document("no file", text="Owls do not.")])
    reply = http.get("/v1/documents/page/original")
    assert reply.content == page.read_bytes()
    assert reply.headers["content-disposition"].startswith("attachment")  # a script could run
    assert reply.headers["x-content-type-options"] == "nosniff"
    (bees,) = http.get("/v1/documents?q=bees.md").json()["documents"]
    reply = http.get(f"/v1/documents/{bees['id'].replace('/', '%2F')}/original")
    assert reply.headers["content-disposition"] == 'inline; filename="bees.md"'
    assert reply.headers["content-type"].startswith("text/plain")
    assert reply.text == BEES
    reply = http.get("/v1/documents/no%20file/original")
    assert reply.status_code == 404
    assert "the file is missing" in reply.json()["error"]["message"]
    rag.kb.remove(["page", "no file"])


def test_an_upload_of_an_indexed_file_is_not_indexed_again(http: httpx.Client) -> None:
    before = http.get("/v1/documents").json()["total"]
    files = {"file": ("copy of the bees.md", BEES.encode())}
    job = http.post("/v1/documents?wait=30", files=files).json()
    (bees,) = http.get("/v1/documents?q=bees.md").json()["documents"]
    assert job["report"]["unchanged"] == [bees["id"]]
    assert http.get("/v1/documents").json()["total"] == before
    titled = http.post("/v1/documents?wait=30", files=files, data={"title": "Mine"}).json()
    (added,) = titled["report"]["added"]
    assert http.get(f"/v1/documents/{added}").json()["folder"] == ""
    assert http.delete(f"/v1/documents/{added}?wait=30").json()["state"] == "done"


def test_speakers_are_listed_named_and_forgotten(
    http: httpx.Client, rag: WavRAG, watched: Path
) -> None:
    wait_until_watching(http)
    address = f"/v1/documents/{str(watched / 'minutes.vtt').replace('/', '%2F')}/speakers"
    speakers = http.get(address).json()["speakers"]
    assert [row["name"] for row in speakers] == ["speaker 1", "speaker 2"]
    assert [row["start"] for row in speakers] == [0, 4]
    named = http.patch(address, json={"speaker": "speaker 2", "name": " Ada "}).json()
    assert [row["name"] for row in named["speakers"]] == ["speaker 1", "Ada"]
    refused = http.patch(address, json={"speaker": "speaker 2", "name": "Bo"})
    assert refused.status_code == 400
    assert "it has speaker 1, Ada" in refused.json()["error"]["message"]
    assert http.get("/v1/documents/none/speakers").status_code == 404
    rag.kb._voices.remember("Ada", np.eye(1, 256, dtype=np.float32)[0])
    assert http.get("/v1/voices").json() == {"voices": ["Ada"]}
    assert http.delete("/v1/voices/Ada").json() == {"voices": []}
    assert http.delete("/v1/voices/Ada").status_code == 404


def test_suggestions_ask_about_headings(http: httpx.Client) -> None:
    wait_until_watching(http)
    assert http.get("/v1/suggestions").json()["questions"] == [
        "What does “The garden” say about watering?"
    ]


def test_a_file_that_was_replaced_is_not_served(
    http: httpx.Client, rag: WavRAG, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:x:0:0")
    talk, captions, beside = (tmp_path / name for name in ("talk.wav", "note.srt", "note.wav"))
    for path in (talk, beside):
        write(path, tone(440, 0.5, 16_000)[None], 16_000)
    captions.write_text("1\n00:00:00,000 --> 00:00:00,500\nThe ferry leaves.\n")
    ids = [str(talk), str(captions)]
    rag.kb.add([Document(id, path=id) for id in ids])
    pages = [f"/v1/documents/{ids[0]}/{kind}" for kind in ("audio", "original")]
    pages += [f"/v1/documents/{ids[1]}/audio", f"/v1/documents/{ids[0]}/audio?start=0&end=0.2"]
    assert [http.get(page).status_code for page in pages] == [200] * 4
    content = talk.read_bytes()
    for path in (talk, beside):
        path.unlink()
        path.symlink_to(secret if path is talk else Path("/etc/passwd"))
    replies = [http.get(page) for page in pages]
    assert [reply.status_code for reply in replies] == [404] * 4
    assert "was changed since it was indexed" in replies[0].text
    talk.unlink()
    talk.write_bytes(content)
    assert http.get(pages[0]).content == content
    rag.kb.remove(ids)


def test_a_file_is_sent_as_it_was_checked(tmp_path: Path) -> None:
    path, secret = tmp_path / "talk.wav", tmp_path / "secret"
    path.write_bytes(b"words of a talk")
    secret.write_bytes(b"root:x:0:0")
    checks, digest = FileChecks(), digest_file(str(path))
    original = checks.open(str(path), digest)
    assert original is not None
    # Replaced between the check and the reply, by a rename and by a link.
    os.replace(secret, path)
    requested = {"type": "http", "method": "GET", "headers": [(b"range", b"bytes=0-4")]}
    assert receive_reply(OriginalResponse(original), requested) == (206, b"words")
    assert original.content.closed
    assert checks.open(str(path), digest) is None
    path.unlink()
    path.symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    for name in (path, tmp_path / "pipe", tmp_path, tmp_path / "none", "nul\0"):
        assert checks.open(str(name), digest) is None


def receive_reply(response: OriginalResponse, scope: dict[str, Any]) -> tuple[int, bytes]:
    """The status and the body of a reply."""
    messages: list[Any] = []

    async def send(message: Any) -> None:
        messages.append(message)

    async def receive() -> Any:
        await asyncio.Event().wait()

    asyncio.run(response(scope, receive, send))
    return messages[0]["status"], b"".join(m.get("body", b"") for m in messages[1:])
