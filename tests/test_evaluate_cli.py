"""`wavrag eval`, on the real store."""

import json
from pathlib import Path
from typing import Any

import pytest

from test_data_tasks import make_task
from wavrag.cli import main
from wavrag.demo import DATA

METRICS = ["recall@1", "recall@5", "recall@10", "ndcg@10", "mrr@10"]


@pytest.fixture
def task(tmp_path: Path) -> Path:
    return make_task(tmp_path / "little")


def test_json_on_standard_output_alone(task: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", str(task), "--embedder", "fake", "--json", "-"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    figures: dict[str, Any] = json.loads(captured.out)
    assert figures["task"] == "little"
    assert [system["legs"] for system in figures["systems"]] == ["dense", "lexical", "fused"]
    for system in figures["systems"]:
        assert system["embedder"] == "fake"
        assert list(system["metrics"]) == METRICS
        assert all(0 <= value <= 1 for value in system["metrics"].values())
        assert all(low <= high for low, high in system["ci95"].values())
        assert 0 < system["query_ms_p50"] <= system["query_ms_p95"]


def test_table_and_file(task: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    arguments = ["--embedder", "fake", "--legs", "fused", "--legs", "dense", "--legs", "fused"]
    assert main(["eval", str(task), *arguments, "--json", str(target)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("little: 3 queries, 4 passages\n")
    assert all(name in out for name in [*METRICS, "s/query", "fake", "[1.000 1.000]"])
    systems = json.loads(target.read_text(encoding="utf-8"))["systems"]
    assert [system["legs"] for system in systems] == ["fused", "dense"]


def test_several_embedders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions = DATA / "questions" / "questions.json"
    spoken = json.loads(questions.read_text(encoding="utf-8"))["spoken"][:3]
    corpus = [{"_id": f"t{n}", "text": question["text"]} for n, question in enumerate(spoken)]
    queries = [
        {"_id": f"q{n}", "text": question["text"], "audio": str(DATA / "questions" / q)}
        for n, question in enumerate(spoken)
        if (q := question["file"])
    ]
    folder = make_task(tmp_path, corpus, queries, [(f"q{n}", f"t{n}", 1) for n in range(3)])
    names = ["--embedder", "cascade", "--embedder", "minilm", "--embedder", "cascade"]
    assert main(["eval", str(folder), *names, "--legs", "fused"]) == 1
    captured = capsys.readouterr()
    assert "'q0' has audio, and minilm embeds text only: use --query-modality text" in captured.err
    assert captured.out == ""
    arguments = ["--legs", "fused", "--query-modality", "text", "--json", "-"]
    assert main(["eval", str(folder), *names, *arguments]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert [system["embedder"] for system in figures["systems"]] == ["cascade", "minilm"]
    assert all(system["metrics"]["recall@1"] == 1 for system in figures["systems"])
    assert figures["query_modality"] == "text"
    audio = ["--query-modality", "audio", "--json", "-"]
    assert main(["eval", str(folder), "--embedder", "cascade", *audio]) == 0
    dense = json.loads(capsys.readouterr().out)["systems"][0]
    assert dense["metrics"]["recall@5"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{task}/nowhere", "--embedder", "fake"], "is no folder"),
        (["{task}", "--embedder", "nobody"], "unknown embedder 'nobody'"),
        (["{task}", "--embedder", "fake", "--query-modality", "audio"], "'q-tea' has no audio"),
        (["{task}", "--embedder", "fake", "--json", "{task}"], "is a folder: name a file"),
        (["{task}", "--embedder", "fake", "--json", "{task}/no/x.json"], "there is no folder"),
    ],
)
def test_failures_are_1_and_say_what_to_do(
    task: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["eval", *(argument.format(task=task) for argument in arguments)]) == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    "arguments", [["x"], ["--embedder", "fake"], ["x", "--embedder", "fake", "--legs", "both"]]
)
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert main(["eval", *arguments]) == 2
