"""A knowledge base in PostgreSQL or in object storage: the same calls, by URL."""

from __future__ import annotations

import itertools
import zipfile
from pathlib import Path

import numpy as np
import pytest

from postgres_server import PASSWORD
from wavrag import KnowledgeBase, WavRAG, config
from wavrag.audio import encode
from wavrag.cli import main
from wavrag.errors import IndexMismatchError, InputError, StoreError
from wavrag.kb import open_backend
from wavrag.types import Clip, Document
from wavrag.web import DownloadOptions
from web_server import Page, web_server

tenants = itertools.count()


@pytest.fixture(params=["postgresql", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    """The address of a new knowledge base."""
    if request.param == "s3":
        return request.getfixturevalue("s3_url")
    return f"{request.getfixturevalue('postgres_url')}&tenant=base-{next(tenants)}"


def test_a_knowledge_base_by_url(url: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no knowledge base in"):
        KnowledgeBase.open(url, create=False)
    talk = tmp_path / "talk.wav"
    talk.write_bytes(encode(Clip(np.zeros(16_000, np.float32), 16_000), "wav"))
    documents = [
        Document("bees", text="Bees dance."),
        Document("ants", text="Ants walk."),
        Document("talk", path=str(talk)),
    ]
    with KnowledgeBase.open(url, embedder="fake") as kb:
        assert kb.add(documents).added == ["bees", "ants", "talk"]
        assert kb.directory is None
        assert PASSWORD not in kb.address
        assert not kb.finds_speakers
        kb.add([], speakers=True)
    with WavRAG.open(url, create=False) as rag:
        kb = rag.kb
        assert kb.finds_speakers
        assert kb.add(documents[:2]).unchanged == ["bees", "ants"]
        assert kb.search("bees dance")[0].passage.document_id == "bees"
        assert "Bees dance." in rag.ask("Who dances?").text
        assert kb.transcript("talk").segments == ()
        assert kb.remove(["ants"]) == 1
        assert [document.id for document in kb.documents()] == ["bees", "talk"]
        assert kb.verify() == []
    with pytest.raises(IndexMismatchError, match="not with cascade"):
        KnowledgeBase.open(url, embedder="cascade")


def test_commands_take_a_url(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes = tmp_path / "notes.md"
    notes.write_text("# Ferry\n\nDogs travel free on the ferry.\n")
    for command in (
        ["index", str(notes), "--embedder", "fake"],
        ["search", "dogs on the ferry"],
        ["ask", "Do dogs travel free?"],
        ["kb", "info"],
        ["kb", "list"],
        ["kb", "verify"],
        ["config"],
    ):
        kb = [] if command == ["config"] else ["--kb", url]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WAVRAG_KB", url)
            assert main([*command, *kb]) == 0
        printed = "".join(capsys.readouterr())
        assert PASSWORD not in printed
        assert "ferry" in printed.lower() or command[0] in ("kb", "config", "index")
    for command in (["backup", str(tmp_path / "copy")], ["repair"], ["upgrade"]):
        assert main(["kb", *command, "--kb", url]) == 1
        error = capsys.readouterr().err
        assert "is for knowledge bases in folders" in error
        assert PASSWORD not in error


def test_the_scheme_of_a_url_may_be_in_capitals(url: str) -> None:
    scheme, separator, location = url.partition("://")
    with KnowledgeBase.open(f"{scheme.upper()}{separator}{location}", embedder="fake") as kb:
        kb.add([Document("bees", text="Bees dance.")])
    with KnowledgeBase.open(url, create=False) as kb:
        assert [document.id for document in kb.documents()] == ["bees"]


def test_tenants_have_their_own_knowledge_base(postgres_url: str) -> None:
    first, second = (f"{postgres_url}&tenant={name}-{next(tenants)}" for name in ("ada", "bo"))
    with KnowledgeBase.open(first, embedder="fake") as kb:
        kb.add([Document("bees", text="Bees dance.")])
    with pytest.raises(StoreError, match="no knowledge base"):
        KnowledgeBase.open(second, create=False)
    with KnowledgeBase.open(second, embedder="fake") as kb:
        assert (kb.documents(), kb.search("bees dance")) == ([], [])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://ada:hunter2@host/base", "cannot be in mysql://...: give a folder or a URL of"),
        (Path("s3://bucket/prefix"), "give it as a string, because a Path drops one"),
        ("s3://key:hunter2@bucket/prefix", "has no user: write s3://BUCKET/PREFIX"),
        ("postgresql://ada:hunter2@127.0.0.1:1/base", r"postgresql://ada@127.0.0.1:1/base: "),
    ],
)
def test_unusable_urls(address: str | Path, message: str) -> None:
    with pytest.raises(StoreError, match=message) as error:
        open_backend(address)
    assert "hunter2" not in str(error.value)


def test_a_settings_file_of_somebody_else_names_no_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WAVRAG_KB", raising=False)
    Path("wavrag.toml").write_text('kb = "postgresql://host/base"\n')
    with pytest.raises(InputError, match="is not read from a file in the working directory"):
        config.kb_address()


def test_downloads_and_members_are_kept_with_the_knowledge_base(
    postgres_url: str, s3_url: str, tmp_path: Path
) -> None:
    archive = tmp_path / "notes.zip"
    with zipfile.ZipFile(archive, "w") as members:
        members.writestr("bees.txt", "Bees dance.")
    url = f"{postgres_url}&tenant=files-{next(tenants)}"
    options = DownloadOptions(allow_private=True)
    with web_server() as web:
        web.pages["/ferry.html"] = Page(b"<title>Ferry</title><p>Dogs travel free.", "text/html")
        page = f"{web.url}/ferry.html"
        with KnowledgeBase.open(url, embedder="fake", blobs=s3_url) as kb:
            assert kb.add_urls([page], options=options).added == [page]
            documents = kb.read_archives([str(archive)]).documents
            assert kb.add(documents).added == [f"{archive}!/bees.txt"]
        with KnowledgeBase.open(url, blobs=s3_url) as kb:
            assert kb.add_urls([page], options=options).unchanged == [page]
            assert b"Dogs travel" in Path(kb.resolve_source(page)).read_bytes()
            assert Path(kb.resolve_source(f"{archive}!/bees.txt")).read_text() == "Bees dance."
            kb.remove([page, f"{archive}!/bees.txt"])
            assert kb.backend.files.list("originals") == []
        with KnowledgeBase.open(url) as kb, pytest.raises(StoreError, match="in WAVRAG_BLOBS"):
            kb.add_urls([page], options=options)
