"""Reranking: the order of hits, and cross-encoders through both loaders."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from test_data_tasks import make_task
from tiny_cross_encoder import LIMIT, build_cross_encoder
from wavrag import KnowledgeBase, WavRAG
from wavrag.cli import main
from wavrag.embed import FakeReranker, load_reranker
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.search import Reranker, reorder_hits, score_hits
from wavrag.testing.reranker import RerankerConformance
from wavrag.types import Document, Hit, Passage, Query

needs_models = pytest.mark.skipif(
    not (importlib.util.find_spec("sentence_transformers") and importlib.util.find_spec("onnx")),
    reason="needs wavrag[models] and onnx",
)
PASSAGES = [
    "Bees dance to show where flowers are.",
    "The moon pulls the sea.",
    "Bread needs flour and water.",
    "the bees dance",
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cross-encoder")
    build_cross_encoder(folder)
    return folder


def hit(name: str, score: float, text: str | None = "words") -> Hit:
    return Hit(Passage(name, 0, text=text), 0, score, {})


def summary(hits: list[Hit]) -> list[tuple[str, int, float]]:
    return [(hit.passage.document_id, hit.rank, hit.score) for hit in hits]


def test_hits_follow_their_new_scores_and_ties_their_ids() -> None:
    hits = [hit("c", 0.9), hit("a", 0.8), hit("b", 0.7), hit("d", 0.6)]
    scores = {"a#0": 0.5, "b#0": 0.7, "c#0": 0.5, "d#0": 0.9}
    assert summary(reorder_hits(hits, scores)) == [
        ("d", 1, 0.9), ("b", 2, 0.7), ("a", 3, 0.5), ("c", 4, 0.5),
    ]  # fmt: skip


def test_a_sound_competes_with_its_fused_score() -> None:
    hits = [hit("noise", 0.6, None), hit("a", 0.5), hit("b", 0.4)]
    scores = score_hits(FakeReranker(), "words", hits)
    assert scores == {"a#0": 1.0, "b#0": 1.0}
    assert [name for name, *_ in summary(reorder_hits(hits, scores))] == ["a", "b", "noise"]


def test_hits_beyond_the_limit_stay_below() -> None:
    hits = [hit("a", 0.9), hit("b", 0.8), hit("c", 0.7), hit("d", 0.1)]
    scores = score_hits(FakeReranker(), "nothing of this", hits, limit=2)
    assert summary(reorder_hits(hits, {**scores, "b#0": 0.5}, limit=2)) == [
        ("b", 1, 0.5), ("a", 2, 0.0), ("c", 3, 0.0), ("d", 4, 0.0),
    ]  # fmt: skip


def test_without_scores_nothing_changes() -> None:
    hits = [hit("b", 0.9), hit("a", 0.8)]
    assert reorder_hits(hits, score_hits(FakeReranker(), "words", [])) == hits


class TestFakeReranker(RerankerConformance):
    @pytest.fixture
    def reranker(self) -> Reranker:
        return FakeReranker()


@needs_models
class TestSentenceTransformers(RerankerConformance):
    batch_tolerance = 1e-6

    @pytest.fixture
    def reranker(self, tiny: Path) -> Reranker:
        return load_reranker(f"st:{tiny}")


@needs_models
class TestOnnx(RerankerConformance):
    @pytest.fixture
    def reranker(self, tiny: Path) -> Reranker:
        return load_reranker(f"onnx:{tiny}")


@needs_models
def test_both_loaders_give_the_scores_of_the_network(tiny: Path) -> None:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    query = "where are the flowers?"
    tokens = AutoTokenizer.from_pretrained(tiny)(
        [query] * len(PASSAGES), PASSAGES, padding=True, return_tensors="pt"
    )
    model = AutoModelForSequenceClassification.from_pretrained(tiny).eval()
    with torch.no_grad():
        expected = torch.sigmoid(model(**tokens).logits[:, 0]).numpy()
    assert np.ptp(expected) > 0.1
    for kind in ("st", "onnx"):
        scores = load_reranker(f"{kind}:{tiny}").score(query, PASSAGES)
        np.testing.assert_allclose(scores, expected, atol=1e-5)


@needs_models
@pytest.mark.parametrize("kind", ["st", "onnx"])
def test_a_long_passage_gets_the_score_of_its_best_window(tiny: Path, kind: str) -> None:
    reranker = load_reranker(f"{kind}:{tiny}")
    # Of 48 tokens, 3 are special, 8 are left free, and the query takes 3: windows of 34 words.
    size = LIMIT - 3 - 8 - 3
    windows = [" ".join(["moon"] * size), " ".join(["bread"] * size), "the sea"]
    scores = reranker.score("bees and flowers", [" ".join(windows), *windows])
    assert scores[0] == pytest.approx(scores[1:].max(), abs=1e-6)
    assert np.ptp(scores[1:]) > 1e-3


@needs_models
@pytest.mark.parametrize("kind", ["st", "onnx"])
def test_a_model_with_several_outputs_is_refused(tmp_path: Path, kind: str) -> None:
    build_cross_encoder(tmp_path, labels=3)
    with pytest.raises(EmbedderError, match="3 outputs per pair"):
        load_reranker(f"{kind}:{tmp_path}").score("bees", PASSAGES)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nobody", "unknown reranker 'nobody': choose st:"),
        ("onnx:", "unknown reranker"),
        ("onnx:/nowhere", "/nowhere lacks model.onnx and tokenizer.json"),
        ("st:/nowhere/at/all", "reranker folder /nowhere/at/all does not exist"),
    ],
)
def test_names_that_lead_nowhere_say_what_to_do(name: str, message: str) -> None:
    with pytest.raises(EmbedderError, match=message):
        load_reranker(name)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[models\]"):
        load_reranker("st:ORG/NAME").score("bees", PASSAGES)


class LongestFirst:
    """Prefers long passages."""

    name = "longest-first"

    def score(self, query: str, passages: list[str]) -> np.ndarray:
        return np.array([len(passage) / 1_000 for passage in passages], np.float32)


def test_a_knowledge_base_reranks_and_says_how_long_it_took(tmp_path: Path) -> None:
    documents = [Document(str(n), text=text) for n, text in enumerate(PASSAGES)]
    with KnowledgeBase.open(tmp_path, embedder="fake", reranker=LongestFirst()) as kb:
        kb.add(documents)
        result = kb.retrieve(Query("the bees dance"), 2)
    assert [hit.passage.document_id for hit in result.hits] == ["0", "2"]
    assert [hit.rank for hit in result.hits] == [1, 2]
    assert result.hits[0].score == pytest.approx(len(PASSAGES[0]) / 1_000, abs=1e-3)
    assert set(result.timings) == {"embed", "search", "rerank"}
    with WavRAG.open(tmp_path) as rag:
        result = rag.kb.retrieve(Query("the bees dance"), 2)
        assert result.hits[0].passage.document_id == "3"
        assert set(result.timings) == {"embed", "search"}
    with pytest.raises(EmbedderError, match="unknown reranker"):
        WavRAG.open(tmp_path / "new", reranker="nobody")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("command", ["search", "ask"])
def test_the_command_line_reranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    with KnowledgeBase.open(tmp_path, embedder="fake") as kb:
        kb.add([Document(str(n), text=text) for n, text in enumerate(PASSAGES)])
    arguments = ["the bees dance", "--kb", str(tmp_path), "--rerank", "fake", "--json"]
    assert main([command, *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "rerank" in document["timings_ms"]
    # The passages with all three words, and one with a third of them.
    scores = {hit["document_id"]: hit["score"] for hit in document["hits"]}
    assert (scores["3"], scores["1"]) == (1.0, pytest.approx(1 / 3, abs=1e-6))


def test_evaluation_measures_the_reranked_hits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    corpus = [{"_id": f"p{n}", "text": text} for n, text in enumerate(PASSAGES)]
    queries = [{"_id": "q", "text": "bread flour moon sea"}]
    task = make_task(tmp_path, corpus, queries, [("q", "p2", 1)])
    arguments = ["eval", str(task), "--embedder", "fake", "--rerank", "fake", "--json", "-"]
    assert main(arguments) == 0
    systems = json.loads(capsys.readouterr().out)["systems"]
    assert [system["reranker"] for system in systems] == [None, None, "fake"]
    hits = [(hit["id"], hit["score"]) for hit in systems[2]["hits"][0]]
    assert hits == [("p1", 0.5), ("p2", 0.5), ("p0", 0.0), ("p3", 0.0)]
