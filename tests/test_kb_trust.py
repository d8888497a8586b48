"""A knowledge base from somebody else cannot choose where questions and keys are sent."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from test_embed_remote import Served, serving
from wavrag import Document, KnowledgeBase
from wavrag.cli import main
from wavrag.disk import CHECKSUM
from wavrag.embed import is_stored_name, load_embedder, needs_consent
from wavrag.errors import EmbedderError, StoreError
from wavrag.server.jobs import JobBook, Upload
from wavrag.store import FolderRecords


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving(Served(key="secret-of-the-user")) as opened:
        yield opened


@pytest.fixture
def received(served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A knowledge base that another user made with a server; nothing was sent to it since."""
    monkeypatch.setenv("WAVRAG_CONFIG", str(tmp_path / "another user"))
    monkeypatch.setenv("MY_KEY", served.key)
    folder = tmp_path / "kb"
    with KnowledgeBase.open(folder, embedder=f"{served.url}?api_key_env=MY_KEY") as kb:
        kb.add([Document("bees", text="Bees dance.")])
        kb.embedder.close()
    monkeypatch.setenv("WAVRAG_CONFIG", str(tmp_path / "this user"))
    served.headers.clear()
    return folder


def forge(path: Path, old: str, new: str) -> None:
    """Change a JSON file as somebody would who knows its format."""
    text = path.read_text()
    assert old in text
    fields = json.loads(text.replace(old, new))
    fields.pop(CHECKSUM)  # a file of an earlier version has none
    path.write_text(json.dumps(fields))


def test_a_server_that_a_knowledge_base_names_gets_nothing_unasked(
    received: Path, served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(StoreError, match="kb trust"):
        KnowledgeBase.open(received)
    assert main(["search", "bees", "--kb", str(received)]) != 0
    assert main(["kb", "info", "--kb", str(received)]) != 0
    assert "it would receive your questions" in capsys.readouterr().err
    assert served.headers == []


def test_it_is_confirmed_once(
    received: Path, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["kb", "trust", "--kb", str(received)]) == 0
    assert served.headers == []
    monkeypatch.setenv("WAVRAG_API_KEY", served.key)
    for _ in range(2):
        with KnowledgeBase.open(received) as kb:
            assert kb.search("bees")
            kb.embedder.close()
    # Another name in the same folder is another question to the user.
    forge(received / "kb.json", "#ears", "#eyes")
    with pytest.raises(StoreError, match="#eyes"):
        KnowledgeBase.open(received)


def test_the_users_options_are_kept_outside(
    received: Path, served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "MY_KEY" not in (received / "kb.json").read_text()
    monkeypatch.setenv("WAVRAG_CONFIG", str(tmp_path / "another user"))
    with KnowledgeBase.open(received) as kb:
        assert kb.search("bees")
        kb.embedder.close()
    assert {headers["authorization"] for headers in served.headers} == {f"Bearer {served.key}"}


def test_a_knowledge_base_cannot_name_a_variable(received: Path, served: Served) -> None:
    forge(received / "kb.json", "#ears", "?%61pi_key_env=MY_KEY#ears")
    with pytest.raises(StoreError, match="kb trust"):
        KnowledgeBase.open(received)
    assert main(["kb", "trust", "--kb", str(received)]) != 0
    assert served.headers == []


@pytest.mark.parametrize(
    ("name", "asks"),
    [
        ("wavretriever", False),
        ("cascade", False),
        ("cascade:asr=pocketsphinx", False),
        ("cascade:text=http://box:1#m", True),
        ("cascade:asr=transformers:org/name", True),
        ("st:org/name", True),
        ("clap:/tmp/model", True),
        ("https://box#m", True),
    ],
)
def test_names_that_need_consent(name: str, asks: bool) -> None:
    assert needs_consent(name) is asks


def test_stored_names_have_no_options_of_the_machine() -> None:
    assert is_stored_name("http://box:1?query_prompt=query%3A%20#m")
    assert not is_stored_name("http://box:1?timeout_s=1#m")
    assert not is_stored_name("cascade:asr=moonshine,text=http://box:1?api_key_env=X#m")


def test_code_of_a_model_runs_only_if_the_user_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = load_embedder("st:BidirLM/BidirLM-Omni-2.5B-Embedding")
    monkeypatch.setenv("WAVRAG_TRUST_CODE", "Another/model")
    with pytest.raises(EmbedderError, match="WAVRAG_TRUST_CODE=BidirLM"):
        embedder.load()


def test_other_files_beside_jobs_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "notes.json").write_text("{}")
    job = JobBook(FolderRecords(tmp_path)).create([], ["a"])
    assert JobBook(FolderRecords(tmp_path)).all() == [job]
    assert (tmp_path / "jobs" / "notes.json").exists()


@pytest.mark.parametrize(
    ("old", "new"), [(f"{'0' * 32}.txt", "../../secret.txt"), ('"id": "', '"id": "../../')]
)
def test_a_job_file_cannot_name_other_files(tmp_path: Path, old: str, new: str) -> None:
    records = FolderRecords(tmp_path)
    JobBook(records).create([Upload("upload-1", f"{'0' * 32}.txt", "a.txt", "a", 1, {})], [])
    (path,) = tmp_path.glob("jobs/*.json")
    forge(path, old, new)
    assert JobBook(records).all() == []
