"""Tokens, scopes and access labels of a server, and its audit log."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from serving import OPTIONS, client, create_rag, serving
from wavrag import Document
from wavrag.access import CHECK_SECONDS, required_scope
from wavrag.cli import main
from wavrag.errors import InputError, StoreError
from wavrag.server import TokenFile

MASTER = "correct-horse-battery"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module")
def tokens(folder: Path) -> dict[str, str]:
    file = TokenFile(folder / "tokens.json")
    return {
        "reader": file.create("reader", "read"),
        "hr": file.create("hr", "write", labels=["hr"]),
        "legal": file.create("legal", "write", labels=["legal"]),
        "admin": file.create("admin", "admin"),
    }


@pytest.fixture(scope="module")
def url(folder: Path, tokens: dict[str, str]) -> Iterator[str]:
    options = replace(
        OPTIONS, tokens=frozenset({MASTER}), token_file=folder / "tokens.json",
        audit_file=folder / "audit.jsonl", watch_folders=(str(folder / "kb"),),
    )  # fmt: skip
    with create_rag(folder) as rag:
        rag.kb.add([Document("deal", text="Zanzibar.", metadata={"access": "board"})])
        with serving(rag, options) as address:
            yield address


@contextmanager
def user(url: str, token: str) -> Iterator[httpx.Client]:
    with client(url, headers={"authorization": f"Bearer {token}"}) as http:
        yield http


def test_scopes(url: str, tokens: dict[str, str]) -> None:
    allowed = {"reader": 1, "hr": 2, "admin": 3}
    for name, level in allowed.items():
        with user(url, tokens[name]) as http:
            assert http.get("/v1/search", params={"q": "ferry"}).status_code == 200
            assert http.post("/v1/search", json={"text": "ferry"}).status_code == 200
            reply = http.delete("/v1/documents/unknown")
            assert reply.status_code == (403 if level < 2 else 404)
            reply = http.get("/metrics")
            assert reply.status_code == (403 if level < 3 else 200)
            reply = http.delete("/v1/voices/unknown")
            assert reply.status_code == (403 if level < 3 else 404)
    with user(url, tokens["reader"]) as http:
        message = http.post("/v1/documents").json()["error"]["message"]
        assert message == "this token has the scope read, and write is needed: use another"
    for token in (MASTER, tokens["admin"]):
        with user(url, token) as http:
            assert "deal" in http.get("/v1/documents/deal").text
    with user(url, "wavrag_unknown-token") as http:
        assert http.get("/v1/documents").status_code == 401


def test_an_operation_that_is_not_known_to_read_needs_more() -> None:
    assert required_scope("GET", "/v1/anything") == "read"
    assert required_scope("POST", "/v1/anything") == "write"
    assert required_scope("PUT", "/v1/anything") == "admin"
    assert required_scope("POST", "/v1/search/") == "read"


def upload(http: httpx.Client, text: str, **fields: str) -> httpx.Response:
    files = {"file": ("note.txt", text.encode())}
    return http.post("/v1/documents?wait=30", files=files, data=fields)


def test_uploads_carry_the_labels_of_their_sender(url: str, tokens: dict[str, str]) -> None:
    with user(url, tokens["hr"]) as hr, user(url, tokens["legal"]) as legal:
        job = upload(hr, "Salaries rise.").json()
        (id,) = job["report"]["added"]
        assert hr.get(f"/v1/documents/{id}").json()["metadata"]["access"] == "hr"
        missing = legal.get("/v1/documents/upload-0")
        hidden = legal.get(f"/v1/documents/{id}")
        assert hidden.status_code == 404
        assert hidden.text.replace(id, "upload-0") == missing.text
        assert hidden.headers.keys() == missing.headers.keys()
        assert legal.delete(f"/v1/documents/{id}").status_code == 404
        # The same content: a document of its own, as if there were no other.
        other = upload(legal, "Salaries rise.").json()
        assert len(other["report"]["added"]) == 1
        assert other["report"]["added"] != [id]
        again = upload(hr, "Salaries rise.").json()["report"]
        assert (again["added"], again["unchanged"]) == ([], [id])
        for reply in (upload(hr, "x", access="legal"), upload(hr, "x", access="hr,legal")):
            assert reply.status_code == 403
        assert upload(hr, "x", access="Hr").status_code == 400
        assert upload(hr, "x", metadata='{"access.legal": true}').status_code == 422
        (shared,) = upload(hr, "For all.", access="public").json()["report"]["added"]
        assert legal.get(f"/v1/documents/{shared}").status_code == 200
        with user(url, tokens["admin"]) as admin:
            for job_id in (job["id"], other["id"]):
                assert admin.get(f"/v1/jobs/{job_id}").status_code == 200
        assert legal.get(f"/v1/jobs/{job['id']}").status_code == 404
        own = [listed["id"] for listed in legal.get("/v1/jobs").json()["jobs"]]
        assert own == [other["id"]]
        assert legal.delete(f"/v1/jobs/{job['id']}").status_code == 404


def test_labels_of_a_document_are_changed(url: str, tokens: dict[str, str]) -> None:
    with user(url, tokens["hr"]) as hr, user(url, tokens["admin"]) as admin:
        (id,) = upload(hr, "Words about chestnuts.").json()["report"]["added"]
        path = f"/v1/documents/{id}"
        assert hr.get("/v1/search", params={"q": "chestnutz"}).json()["suggestion"] == "chestnuts"
        assert hr.put(f"{path}/access", json={"labels": []}).status_code == 403
        assert admin.put(f"{path}/access", json={"labels": ["A"]}).status_code == 400
        assert admin.put("/v1/documents/none/access", json={"labels": []}).status_code == 404
        reply = admin.put(f"{path}/access", json={"labels": ["legal"]})
        assert reply.json()["metadata"]["access"] == "legal"
        assert hr.get(path).status_code == 404
        assert hr.get("/v1/search", params={"q": "chestnutz"}).json()["suggestion"] is None
        # As if it were not there any more.
        again = upload(hr, "Words about chestnuts.").json()["report"]
        assert len(again["added"]) == 1
        assert again["added"] != [id]


def test_watched_folders_are_shown_to_those_who_see_everything(
    url: str, tokens: dict[str, str]
) -> None:
    with user(url, tokens["hr"]) as hr, user(url, tokens["admin"]) as admin:
        assert hr.get("/v1/watch").json()["folders"] == []
        assert hr.get("/v1/watch").json()["state"] == "off"
        assert len(admin.get("/v1/watch").json()["folders"]) == 1


def test_the_audit_log_has_a_line_for_every_change(
    url: str, folder: Path, tokens: dict[str, str]
) -> None:
    path = folder / "audit.jsonl"
    before = len(path.read_text().splitlines())
    with user(url, tokens["hr"]) as hr:
        (id,) = upload(hr, "Secret words.").json()["report"]["added"]
        hr.delete(f"/v1/documents/{id}", params={"wait": 30})
        hr.delete("/v1/documents/a%22b")
        hr.get("/v1/search", params={"q": "secret"})
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        lines = [json.loads(line) for line in path.read_text().splitlines()[before:]]
        if len(lines) == 5:
            break
        time.sleep(0.02)
    rows = sorted((line["action"], line["documents"], line["result"]) for line in lines)
    assert rows == [
        ("add_job", [id], "done"), ("remove_document", ['a"b'], 404),
        ("remove_document", [id], 202), ("remove_job", [id], "done"),
        ("upload_documents", [id], 202),
    ]  # fmt: skip
    assert {line["principal"] for line in lines} == {"hr"}
    assert "Secret" not in path.read_text()


def test_a_live_connection_has_the_labels_of_its_token(url: str, tokens: dict[str, str]) -> None:
    from websockets.sync.client import connect

    address = url.replace("http", "ws") + "/v1/live"
    for token, event in ((tokens["reader"], "ready"), ("wavrag_unknown", "error")):
        with connect(address, proxy=None) as socket:
            socket.send(json.dumps({"token": token}))
            assert json.loads(socket.recv())["event"] == event


def test_a_live_connection_ends_with_its_token(
    url: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from websockets.sync.client import connect

    monkeypatch.setattr("wavrag.server.limits.TOKEN_SECONDS", 0.05)
    file = TokenFile(folder / "tokens.json")
    token = file.create("guest", "read")
    time.sleep(CHECK_SECONDS)
    with connect(f"{url.replace('http', 'ws')}/v1/live", proxy=None) as socket:
        socket.send(json.dumps({"token": token}))
        assert json.loads(socket.recv())["event"] == "ready"
        file.revoke("guest")
        event = json.loads(socket.recv(timeout=20))
    assert event["event"] == "error"
    assert "revoked" in event["message"]


def test_errors_of_a_live_connection_do_not_show_files_of_the_server(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from websockets.sync.client import connect

    def fail(self: TokenFile, token: str) -> None:
        raise StoreError("/srv/tokens.json cannot be read")

    monkeypatch.setattr(TokenFile, "find", fail)
    with connect(f"{url.replace('http', 'ws')}/v1/live", proxy=None) as socket:
        socket.send("{}")
        message = json.loads(socket.recv())["message"]
    assert "see the log of the server" in message
    assert "/srv" not in message


def test_tokens_are_created_listed_and_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = ["--tokens", str(tmp_path / "t.json")]
    create = ["token", "create", *file, "--name"]
    assert main([*create, "ada", "--label", "hr", "--expires", "1"]) == 0
    token = capsys.readouterr().out.strip()
    assert token not in (tmp_path / "t.json").read_text()
    assert (tmp_path / "t.json").stat().st_mode & 0o077 == 0
    tokens = TokenFile(tmp_path / "t.json")
    principal = tokens.find(token)
    assert principal is not None
    assert (principal.name, principal.scope, principal.labels) == ("ada", "read", {"hr"})
    assert tokens.find(token[:-1]) is tokens.find("") is None
    assert main([*create, "ada"]) == 1
    assert "there is a token 'ada'" in capsys.readouterr().err
    assert main(["token", "list", *file]) == 0
    assert "ada: read; labels: hr; collections: all; expires 2" in capsys.readouterr().out
    assert main(["token", "revoke", *file, "--name", "ada"]) == 0
    assert TokenFile(tmp_path / "t.json").find(token) is None
    with pytest.raises(InputError, match="no token 'ada'"):
        tokens.revoke("ada")
    expired = tokens.create("bo", "admin", days=0)
    assert tokens.find(expired) is None


def test_a_damaged_file_of_tokens_accepts_nobody(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "t.json")
    token = tokens.create("ada", "read")
    tokens.path.write_text("[")
    with pytest.raises(StoreError, match="restore or delete"):
        TokenFile(tokens.path).find(token)
    # The file of `--token`, named by mistake: its tokens must not get into an error.
    tokens.path.write_text("correct-horse-battery\n")
    with pytest.raises(StoreError, match="no file of `wavrag token`") as caught:
        TokenFile(tokens.path).find(token)
    assert "horse" not in str(caught.value)
    tokens.path.unlink()
    assert TokenFile(tokens.path).find(token) is None


def test_every_operation_needs_a_token(url: str, tokens: dict[str, str]) -> None:
    with user(url, tokens["reader"]) as http, client(url) as anybody:
        paths: dict[str, dict[str, object]] = http.get("/openapi.json").json()["paths"]
        operations = {(method, path) for path, methods in paths.items() for method in methods}
        operations |= {("post", "/mcp"), ("post", "/v1/mcp"), ("get", "/asyncapi.json")}
        operations |= {("get", "/openapi.json"), ("post", "/v1/unknown")}
        statuses = {
            (method, path): anybody.request(method.upper(), path).status_code
            for method, path in operations
        }
    public = [operation for operation, status in statuses.items() if status != 401]
    assert sorted(public) == [("get", "/healthz"), ("get", "/readyz")]
