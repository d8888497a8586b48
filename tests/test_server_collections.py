"""Several knowledge bases in one server."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from serving import FERRY, OPTIONS, client, create_rag, serving
from wavrag import Document, KnowledgeBase
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError, StoreError
from wavrag.generate import FakeGenerator
from wavrag.server import CollectionFolder, TokenFile
from wavrag.server.state import ServerState


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collections")
    for name, text in {"talks": FERRY, "notes": "Bees dance at noon.", "Bad.name": "x"}.items():
        with KnowledgeBase.open(folder / name, embedder="fake") as kb:
            kb.add([Document("first", text=text)])
    (folder / "empty").mkdir()
    return folder


@pytest.fixture(scope="module")
def tokens(root: Path) -> dict[str, str]:
    file = TokenFile(root / "tokens.json")
    return {
        "all": file.create("all", "admin"),
        "talks": file.create("talks", "write", collections=["talks"]),
        "chief": file.create("chief", "admin", collections=["talks"]),
    }


@pytest.fixture(scope="module")
def url(root: Path, tokens: dict[str, str]) -> Iterator[str]:
    options = replace(
        OPTIONS, token_file=root / "tokens.json", audit_file=root / "audit.jsonl"
    )  # fmt: skip
    with (
        CollectionFolder(root, FakeGenerator(), embedder=FakeEmbedder()) as folder,
        serving(folder, options) as address,
    ):
        yield address


@pytest.fixture
def http(url: str, tokens: dict[str, str]) -> Iterator[httpx.Client]:
    with client(url, headers={"authorization": f"Bearer {tokens['all']}"}) as opened:
        yield opened


def test_each_collection_has_the_endpoints_of_a_server(http: httpx.Client, url: str) -> None:
    assert http.get("/v1/collections").json() == {
        "collections": [{"name": "notes"}, {"name": "talks"}], "can_create": True
    }  # fmt: skip
    for name, text in {"talks": FERRY.strip(), "notes": "Bees dance at noon."}.items():
        hits = http.get(f"/v1/collections/{name}/search", params={"q": "noon ferry"}).json()["hits"]
        assert [hit["text"] for hit in hits] == [text]
        models = http.get(f"/v1/collections/{name}/models").json()["data"]
        assert models[1]["id"] == "fake"
    files = {"file": ("new.txt", b"A new note.")}
    job = http.post("/v1/collections/notes/documents?wait=30", files=files).json()
    (id,) = job["report"]["added"]
    assert http.get(f"/v1/collections/notes/documents/{id}/text").status_code == 200
    assert http.get(f"/v1/collections/talks/documents/{id}/text").status_code == 404
    assert http.get("/v1/collections/talks/jobs").json() == {"jobs": []}
    assert "wavrag_passages 3.0" in http.get("/metrics").text
    assert http.get("/readyz").json() == {"ready": True}
    assert http.get("/v1/collections/talks/v1/documents").json()["total"] == 1
    reply = http.get("/v1/search", params={"q": "ferry"})
    assert reply.status_code == 404
    assert "see /v1/collections" in reply.json()["error"]["message"]


def test_a_token_enters_its_collections_only(
    http: httpx.Client, url: str, tokens: dict[str, str]
) -> None:
    for name in ("talks", "chief"):
        with client(url, headers={"authorization": f"Bearer {tokens[name]}"}) as user:
            assert user.get("/v1/collections").json() == {
                "collections": [{"name": "talks"}], "can_create": False
            }  # fmt: skip
            assert user.get("/v1/collections/talks/documents").json()["total"] == 1
            hidden = user.get("/v1/collections/notes/documents")
            missing = user.get("/v1/collections/lost/documents")
            assert hidden.status_code == missing.status_code == 404
            assert hidden.text.replace("notes", "lost") == missing.text
            assert user.delete("/v1/collections/notes").status_code in (403, 404)
            assert user.post("/v1/collections", json={"name": "mine"}).status_code == 403
            assert user.get("/metrics").status_code == 403  # numbers of all collections
    from websockets.sync.client import connect

    for collection, event in {"talks": "ready", "notes": "error"}.items():
        address = f"{url.replace('http', 'ws')}/v1/collections/{collection}/live"
        with connect(address, proxy=None) as socket:
            socket.send(json.dumps({"token": tokens["talks"]}))
            assert json.loads(socket.recv())["event"] == event


def test_collections_are_created_and_deleted(http: httpx.Client, root: Path) -> None:
    assert http.post("/v1/collections", json={"name": "new"}).status_code == 201
    assert http.get("/v1/collections/new/documents").json()["total"] == 0
    assert (root / "new" / "kb.json").exists()
    for name in ("new", "talks", "empty"):
        reply = http.post("/v1/collections", json={"name": name})
        assert reply.status_code == 400
        assert "choose another name" in reply.json()["error"]["message"]
    for name in ("", "..", "a/b", "A", ".hidden", "x" * 64, "a\n"):
        assert http.post("/v1/collections", json={"name": name}).status_code == 422
    assert http.delete("/v1/collections/new").status_code == 204
    assert not (root / "new").exists()
    assert http.get("/v1/collections/new/documents").status_code == 404
    assert http.delete("/v1/collections/new").status_code == 404
    assert http.get("/v1/collections/..%2ftalks/documents").status_code == 404
    lines = [json.loads(line) for line in (root / "audit.jsonl").read_text().splitlines()]
    done = [(line["action"], line["collection"]) for line in lines if line["result"] == 204]
    assert done == [("delete_collection", "new")]


def test_a_collection_is_there_once_it_has_started(
    http: httpx.Client, url: str, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses = []

    def start(state: ServerState) -> None:
        with client(url, headers=dict(http.headers)) as other:
            statuses.append(other.get("/v1/collections/late/documents").status_code)
        raise StoreError("the lock cannot be created")

    with monkeypatch.context() as patch:
        patch.setattr(ServerState, "start", start)
        assert http.post("/v1/collections", json={"name": "late"}).status_code == 500
    assert statuses == [404]
    assert not (root / "late").exists()


def test_models_are_shared(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with CollectionFolder(root, FakeGenerator()) as folder:
        assert folder.names() == ["notes", "talks"]
        bases = [folder.open(name).kb for name in folder.names()]
        assert bases[0].embedder is bases[1].embedder
        for kb in bases:
            kb.close()
    with pytest.raises(InputError, match="no folder"):
        CollectionFolder(root / "lost", FakeGenerator())


def test_a_single_knowledge_base_is_the_default_collection(tmp_path: Path) -> None:
    with create_rag(tmp_path) as rag, serving(rag) as url, client(url) as http:
        assert http.get("/v1/collections").json() == {
            "collections": [{"name": "default"}], "can_create": False
        }  # fmt: skip
        assert http.get("/v1/collections/default/documents").json()["total"] == 2
        assert http.post("/v1/collections", json={"name": "new"}).status_code == 409
        assert http.delete("/v1/collections/default").status_code == 409
