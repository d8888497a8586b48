"""Access labels in a knowledge base: which documents have which, and what a view of some reads."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from wavrag import Document, KnowledgeBase, Query, WavRAG
from wavrag.cli import main
from wavrag.embed import FakeEmbedder
from wavrag.errors import InputError
from wavrag.generate import FakeGenerator
from wavrag.kb import KnowledgeBaseView, find_files
from wavrag.store import labels_of


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        yield kb


@pytest.fixture
def pay(tmp_path: Path) -> Path:
    path = tmp_path / "files" / "pay.md"
    path.parent.mkdir()
    path.write_text("---\naccess: sales\naccess.sales: true\nyear: 2026\n---\n# Pay\n\nPay rises.")
    return path


def index(kb: KnowledgeBase, path: Path, access: str | None = None) -> None:
    report = kb.add(find_files([path], (), {"access": access} if access else {}).documents)
    assert report.skipped == []


def labels(kb: KnowledgeBase) -> dict[str, list[str]]:
    return {
        document.source.rpartition("files/")[2]: sorted(labels_of(document.metadata))
        for document in kb.documents()
    }


def test_labels_stay_until_others_are_given(kb: KnowledgeBase, pay: Path) -> None:
    index(kb, pay.parent)
    assert labels(kb) == {"pay.md": []}, "a file has labelled itself"
    passage = kb.passages(kb.documents()[0].id)[0]
    assert passage.metadata == {"year": 2026}
    index(kb, pay, "legal,hr")
    assert labels(kb) == {"pay.md": ["hr", "legal"]}
    index(kb, pay.parent)
    assert labels(kb) == {"pay.md": ["hr", "legal"]}
    pay.write_text("# Pay\n\nPay falls.")
    index(kb, pay.parent)
    assert labels(kb) == {"pay.md": ["hr", "legal"]}
    moved = pay.rename(pay.with_name("Löhne.md"))
    index(kb, pay.parent)
    assert labels(kb) == {"Löhne.md": ["hr", "legal"]}
    index(kb, moved, "hr")
    assert labels(kb) == {"Löhne.md": ["hr"]}
    hashes = {document.content_hash for document in kb.documents()}
    kb.set_access(kb.documents()[0].id, ["sales"])
    assert labels(kb) == {"Löhne.md": ["sales"]}
    assert kb.add(find_files([pay.parent]).documents).unchanged == [kb.documents()[0].id]
    kb.set_access(kb.documents()[0].id, ["hr"])
    assert {document.content_hash for document in kb.documents()} == hashes
    with pytest.raises(InputError, match="not in the knowledge base"):
        kb.set_access("unknown", ["hr"])
    index(kb, moved, "public")
    index(kb, pay.parent)
    assert labels(kb) == {"Löhne.md": []}


def test_a_copy_with_other_labels_is_another_document(kb: KnowledgeBase, pay: Path) -> None:
    (pay.parent / "open").mkdir()
    (pay.parent / "open" / "pay.md").write_bytes(pay.read_bytes())
    index(kb, pay.parent / "open")
    index(kb, pay, "hr")
    expected = {"pay.md": ["hr"], "open/pay.md": []}
    assert labels(kb) == expected
    index(kb, pay.parent)
    assert labels(kb) == expected
    # A further copy without labels of its own is not published by accident.
    (pay.parent / "new.md").write_bytes(pay.read_bytes())
    index(kb, pay.parent)
    assert labels(kb) == expected
    assert [hit.passage.copies for hit in KnowledgeBaseView(kb, []).search("pay")] == [()]


@pytest.mark.parametrize("access", ["", "HR", True, "hr,,legal"])
def test_a_document_with_unreadable_labels_is_skipped(kb: KnowledgeBase, access: str) -> None:
    report = kb.add([Document("a", text="x", metadata={"access": access})])
    assert len(report.skipped) == 1
    assert kb.count() == 0


def test_a_view_reads_like_a_base_without_the_hidden_documents(tmp_path: Path) -> None:
    shown = [
        Document("bees", text="Bees dance at noon.", title="Bees"),
        Document("pay", text="Pay rises in April.", metadata={"access": "hr,board"}),
    ]
    hidden = Document("deal", text="Zanzibar buys us at noon.", metadata={"access": "board"})
    with (
        KnowledgeBase.open(tmp_path / "all", embedder=FakeEmbedder()) as whole,
        KnowledgeBase.open(tmp_path / "alone", embedder=FakeEmbedder()) as alone,
    ):
        whole.add([*shown, hidden])
        alone.add(shown)
        view = KnowledgeBaseView(whole, ["hr", "sales"])
        assert view.documents() == alone.documents()
        assert view.count() == alone.count() == 2
        assert view.passages("deal") == []
        assert view.head("deal") is None
        assert view.file_digest("deal") == ""
        assert view.speakers("deal") == []
        with pytest.raises(InputError) as hidden_error:
            view.transcript("deal")
        with pytest.raises(InputError) as missing_error:
            view.transcript("lead")
        assert str(hidden_error.value).replace("deal", "lead") == str(missing_error.value)
        # "zanzibra" is corrected to a word of the hidden document in the whole base only.
        assert whole.retrieve(Query("zanzibra")).suggestion == "zanzibar"
        for text in ("zanzibra", "zanzibar at noon", "pay rises", "bee dances"):
            result, expected = (kb.retrieve(Query(text)) for kb in (view, alone))
            assert result.suggestion == expected.suggestion
            assert result.corrections == expected.corrections
            assert {h.passage.id for h in result.hits} == {h.passage.id for h in expected.hits}
        assert view.remove(["deal", "bees"]) == 1
        assert [document.id for document in whole.documents()] == ["deal", "pay"]
        with pytest.raises(InputError, match="wavrag add-url"):
            view.add_urls(["https://example.org/"])
        rag = WavRAG(whole, FakeGenerator()).restrict([])
        assert rag.documents() == []
        assert not rag.ask("Who buys us?").hits


def test_the_command_line_labels_files(
    tmp_path: Path, pay: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = ["--kb", str(tmp_path / "kb")]
    assert main(["index", str(pay), "--access", "legal, hr", "--embedder", "fake", *folder]) == 0
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        assert labels(kb) == {"pay.md": ["hr", "legal"]}
    assert main(["kb", "access", str(pay), "sales", *folder]) == 0
    with KnowledgeBase.open(tmp_path / "kb") as kb:
        assert labels(kb) == {"pay.md": ["sales"]}
    assert main(["index", str(pay), "--access", "Hr", *folder]) != 0
    assert "'Hr' is no access label" in capsys.readouterr().err
    assert main(["index", str(pay), "--meta", "access=hr", *folder]) != 0
    assert "--access hr,legal" in capsys.readouterr().err
