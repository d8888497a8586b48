"""Files, vector stores and their searches with the official OpenAI client."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from serving import OPTIONS, create_rag, serving
from wavrag.embed import FakeEmbedder
from wavrag.generate import FakeGenerator
from wavrag.server import CollectionFolder, TokenFile

SUBTITLES = b"1\n00:00:02,000 --> 00:00:05,000\nAda: The lighthouse keeper counts gulls.\n"


def connect(url: str, key: str = "none") -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[openai.OpenAI]:
    with connect(url) as opened:
        yield opened


def test_a_model_and_unknown_operations(client: openai.OpenAI) -> None:
    assert client.models.retrieve("moonshine").owned_by == "wavrag"
    with pytest.raises(openai.NotFoundError, match="there is no model 'gpt-9' here"):
        client.models.retrieve("gpt-9")
    with pytest.raises(openai.NotFoundError) as caught:
        client.images.generate(prompt="a ferry")
    assert caught.value.body == {
        "message": "there is no operation POST /v1/images/generations here: see /openapi.json",
        "type": "not_found_error",
        "code": 404,
        "param": None,
    }
    with pytest.raises(openai.NotFoundError, match="no operation DELETE /v1/models/fake"):
        client.models.delete("fake")


def test_the_knowledge_base_is_a_vector_store(client: openai.OpenAI) -> None:
    (store,) = client.vector_stores.list()
    assert (store.id, store.name, store.status) == ("default", "default", "completed")
    assert store.file_counts.completed == store.file_counts.total >= 2
    assert client.vector_stores.retrieve("default").id == "default"
    files = list(client.vector_stores.files.list("default", limit=1, order="asc"))
    names = {Path(file.id).name for file in files}  # of several pages
    assert {"ferry.txt", "bees.md"} <= names
    content = client.vector_stores.files.content(files[0].id, vector_store_id="default")
    assert "honeybee flies" in (content.data[0].text or "")
    with pytest.raises(openai.NotFoundError, match="there is no vector store other"):
        client.vector_stores.retrieve("other")
    with pytest.raises(openai.ConflictError, match="single knowledge base"):
        client.vector_stores.create(name="other")


def test_a_search_has_seconds_and_speaker(client: openai.OpenAI) -> None:
    file = client.files.create(file=("talk.srt", SUBTITLES), purpose="assistants")
    assert (file.filename, file.bytes, file.status) == ("talk.srt", len(SUBTITLES), "processed")
    assert client.files.content(file.id).read() == SUBTITLES
    assert [listed.id for listed in client.files.list()] == [file.id]
    added = client.vector_stores.files.create_and_poll(
        file.id, vector_store_id="default", attributes={"year": 2026, "public": True}
    )
    assert added.status == "completed"
    search = client.vector_stores.search
    (result,) = search("default", query="Who counts gulls?", max_num_results=1)
    assert (result.file_id, result.filename) == (file.id, "talk.srt")
    assert result.content[0].text == "The lighthouse keeper counts gulls."
    attributes = result.attributes or {}
    assert (attributes["start"], attributes["end"]) == (2.0, 5.0)
    assert (attributes["speaker"], attributes["year"], attributes["public"]) == ("Ada", 2026, True)
    assert not list(search("default", query="gulls", ranking_options={"score_threshold": 1}))

    assert client.vector_stores.files.delete(file.id, vector_store_id="default").deleted
    with pytest.raises(openai.NotFoundError):
        client.vector_stores.files.retrieve(file.id, vector_store_id="default")
    assert client.files.delete(file.id).deleted
    with pytest.raises(openai.NotFoundError, match="there is no file"):
        client.files.retrieve(file.id)


@pytest.mark.parametrize(
    ("filter", "names"),
    [
        ({"type": "eq", "key": "title", "value": "ferry"}, ["ferry.txt"]),
        ({"type": "nin", "key": "title", "value": ["ferry", "it's"]}, ["bees.md"]),
        ({"type": "eq", "key": 'a "key"', "value": True}, []),
        (
            {
                "type": "or",
                "filters": [
                    {"type": "gte", "key": "year", "value": 2020},
                    {
                        "type": "and",
                        "filters": [
                            {"type": "ne", "key": "title", "value": "ferry"},
                            {"type": "eq", "key": "modality", "value": "text"},
                        ],
                    },
                ],
            },
            ["bees.md"],
        ),
    ],
)
def test_filters(client: openai.OpenAI, filter: object, names: list[str]) -> None:
    results = client.vector_stores.search("default", query=["ferry", "honeybee"], filters=filter)  # type: ignore[arg-type]
    assert sorted({result.filename for result in results}) == names


def test_a_batch_reports_files_that_cannot_be_read(client: openai.OpenAI) -> None:
    with pytest.raises(openai.APIStatusError, match="is an archive"):
        client.files.create(file=("files.zip", b"PK\x03\x04" + bytes(60)), purpose="assistants")
    batch = client.vector_stores.file_batches.upload_and_poll(
        "default",
        files=[("good.txt", b"A heron stands still.\n"), ("broken.pdf", b"%PDF-1.7\nno page\n")],
    )
    assert batch.status == "completed"
    counts = batch.file_counts
    assert (counts.completed, counts.failed, counts.total) == (1, 1, 2)
    files = client.vector_stores.file_batches.list_files(batch.id, vector_store_id="default")
    failed = next(file for file in files if file.status == "failed")
    assert failed.last_error is not None
    assert failed.last_error.code == "unsupported_file"
    with pytest.raises(openai.ConflictError, match="is done: it has ended"):
        client.vector_stores.file_batches.cancel(batch.id, vector_store_id="default")
    for file in files:
        client.vector_stores.files.delete(file.id, vector_store_id="default")
    with pytest.raises(openai.UnprocessableEntityError, match="need a list of values"):
        client.vector_stores.search(
            "default", query="x", filters={"type": "in", "key": "year", "value": 1}
        )
    term = {"type": "eq", "key": "year", "value": 1}
    with pytest.raises(openai.UnprocessableEntityError, match="more than 1000 parts"):
        client.vector_stores.search(
            "default",
            query="x",
            filters={"type": "or", "filters": [{"type": "and", "filters": [term] * 40}] * 40},  # type: ignore[dict-item]
        )
    with pytest.raises(openai.UnprocessableEntityError, match="have more than 65536 characters"):
        client.vector_stores.files.create(
            "default", file_id="upload-1", attributes={"note": "x" * 65_536}
        )


def test_collections_tokens_and_labels(tmp_path: Path) -> None:
    """Vector stores are collections, files belong to their users, and labels hide documents."""
    folder, tokens = tmp_path / "bases", TokenFile(tmp_path / "tokens.json")
    folder.mkdir()
    admin = tokens.create("admin", "admin")
    ada = tokens.create("ada", "write", labels=frozenset({"hr"}))
    bob = tokens.create("bob", "write")
    source = CollectionFolder(folder, FakeGenerator(), embedder=FakeEmbedder())
    options = replace(OPTIONS, token_file=tokens.path)
    with (
        source,
        serving(source, options) as url,
        connect(url, admin) as by_admin,
        connect(url, ada) as by_ada,
        connect(url, bob) as by_bob,
    ):
        with pytest.raises(openai.PermissionDeniedError):
            by_ada.vector_stores.create(name="talks")
        assert by_admin.vector_stores.create(name="talks").id == "talks"
        file = by_ada.files.create(file=("pay.txt", b"Pay rises in May.\n"), purpose="assistants")
        with pytest.raises(openai.NotFoundError, match="there is no file"):
            by_bob.vector_stores.files.create("talks", file_id=file.id)
        assert not list(by_bob.files.list())
        with pytest.raises(openai.PermissionDeniedError, match="access labels board"):
            by_ada.vector_stores.files.create(
                "talks", file_id=file.id, attributes={"access": "board"}
            )
        by_ada.vector_stores.files.create_and_poll(file.id, vector_store_id="talks")
        found = {
            name: [result.filename for result in client.vector_stores.search("talks", query="pay")]
            for name, client in (("admin", by_admin), ("ada", by_ada), ("bob", by_bob))
        }
        assert found == {"admin": ["pay.txt"], "ada": ["pay.txt"], "bob": []}
        assert by_bob.vector_stores.retrieve("talks").file_counts.total == 0
        for remove in (by_bob.vector_stores.files.delete, by_bob.vector_stores.files.retrieve):
            with pytest.raises(openai.NotFoundError):
                remove(file.id, vector_store_id="talks")
        with connect(f"{url}/v1/collections/talks", ada) as inside:
            assert [store.id for store in inside.vector_stores.list()] == ["talks"]
        with pytest.raises(openai.PermissionDeniedError):
            by_ada.vector_stores.delete("talks")
        assert by_admin.vector_stores.delete("talks").deleted
        assert not list(by_admin.vector_stores.list())


def test_uploaded_files_survive_a_restart(tmp_path: Path) -> None:
    with create_rag(tmp_path) as rag:
        with serving(rag) as url, connect(url) as client:
            file = client.files.create(file=("a.txt", b"A heron.\n"), purpose="user_data")
        orphan = tmp_path / "kb" / "files" / f"upload-{'0' * 32}.data"  # of a killed process
        orphan.write_bytes(b"A heron.\n")
        os.utime(orphan, (0, 0))
        with serving(rag) as url, connect(url) as client:
            assert [kept.id for kept in client.files.list()] == [file.id]
            assert client.files.content(file.id).read() == b"A heron.\n"
        assert len(list((tmp_path / "kb" / "files").iterdir())) == 2
