"""Comparing files of figures: by hand, and through `wavrag eval` and `wavrag eval compare`."""

import json
from pathlib import Path
from typing import Any

import pytest

from test_data_tasks import make_task
from wavrag.cli import main
from wavrag.errors import InputError
from wavrag.evaluate.comparison import compare_results, format_comparison
from wavrag.evaluate.results import read_evaluations, read_figures

NAMES = ("recall@1", "recall@5", "recall@10", "ndcg@10", "mrr@10")


def figures(systems: dict[str, list[float]], ids: str = "abc", task: str = "little") -> Any:
    """A run in which every metric has the same values."""
    return {
        "task": task,
        "query_modality": None,
        "corpus_modality": None,
        "systems": [
            {
                "embedder": name, "legs": "fused", "values": dict.fromkeys(NAMES, values),
                "hits": [[]] * len(ids), "query_words": [""] * len(ids),
            }
            for name, values in systems.items()
        ],
        "queries": [{"id": id, "transcript": f"say {id}"} for id in ids],
    }  # fmt: skip


def test_two_systems_of_one_run_by_hand() -> None:
    (one,) = compare_results([figures({"x": [0, 0, 1], "y": [1, 0.5, 1]})])
    assert (one.a, one.b, one.queries) == ("x, fused", "y, fused", 3)
    row = next(row for row in one.metrics if row.metric == "ndcg@10")
    # Means 1/3 and 5/6. Two queries differ, by 1 and .5: of the 4 ways of swapping, those with
    # both of one sign are as far: p = 2/4.
    assert (row.a, row.b) == pytest.approx((1 / 3, 5 / 6))
    assert row.test.difference == pytest.approx(0.5)
    assert row.test.p == row.p_holm == 0.5
    assert [(change.id, change.a, change.b) for change in one.changes] == [
        ("a", 0, 1),
        ("b", 0, 0.5),
    ]
    assert (one.better, one.worse) == (2, 0)


def test_queries_are_paired_by_id() -> None:
    first, second = figures({"x": [0.1, 0.2, 0.3]}), figures({"x": [0.3, 0.2, 0.9]}, "cbd")
    (one,) = compare_results([first], [second], names=("old.json", "new.json"))
    assert (one.a, one.b) == ("old.json: x, fused", "new.json: x, fused")
    assert (one.queries, one.unpaired, one.changes) == (2, 2, ())
    assert "2 queries that only one" in format_comparison([one])


def test_systems_of_other_names_are_paired_by_their_legs() -> None:
    found = compare_results(
        [figures({"x": [0, 0, 0]})], [figures({"y": [1, 1, 1], "z": [0, 0, 0]})]
    )
    assert [(one.a, one.b) for one in found] == [("x, fused", "y, fused"), ("x, fused", "z, fused")]
    # p of the two are 1/4 and 1; the smaller is doubled by Holm's correction.
    assert [row.p_holm for one in found for row in one.metrics if row.metric == "mrr@10"] == [
        0.5,
        1,
    ]


def test_what_cannot_be_compared_is_refused() -> None:
    one = figures({"x": [0, 0, 0]})
    with pytest.raises(InputError, match="nothing to compare"):
        compare_results([one])
    with pytest.raises(InputError, match="nothing to compare"):
        compare_results([one], [figures({"x": [0, 0, 0]}, task="other")])
    with pytest.raises(InputError, match="no query in common"):
        compare_results([one], [figures({"x": [0, 0, 0]}, "def")])
    with pytest.raises(InputError, match="unknown metric 'map'"):
        compare_results([one], [one], metric="map")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[]", "is not a JSON object"),
        ('{"a": 1}', "is not a known result file"),
        ('{"generator": "x", "figures": {}}', "is not an evaluation"),
        ('{"task": "t", "systems": [{"embedder": "x"}]}', "no values of single queries"),
        (json.dumps(figures({"x": [0, 0]})), "its systems have different numbers of queries"),
    ],
)
def test_other_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_evaluations(tmp_path / "x.json")


def test_from_measuring_to_comparing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = [str(make_task(tmp_path / name)) for name in ("one", "two")]
    options = ["--embedder", "fake", "--cpu-price", "0.04", "--json"]
    for name in ("a.json", "b.json"):
        assert main(["eval", *tasks, *options, str(tmp_path / name)]) == 0
    out = capsys.readouterr().out
    assert "one: 3 queries" in out
    assert "two: 3 queries" in out
    assert "lexical: BM25 over words alone; for recordings, over the recognised words" in out
    assert "fake recognises no words of recordings" in out
    assert "at 0.04 a CPU hour" in out
    (task, _) = read_figures(tmp_path / "a.json")["tasks"]
    assert [query["id"] for query in task["queries"]] == ["q-tea", "q-low", "q-both"]
    dense = task["systems"][0]
    assert dense["hits"][1][0]["id"] == "low"
    assert dense["hits"][1][0]["span"] == [0, 1]
    assert all(len(values) == 3 for values in dense["values"].values())
    assert dense["query_cost"]["audio_seconds"] == 2
    assert dense["query_ms_p50"] <= dense["query_ms_p90"] <= dense["query_ms_p99"]
    files = [str(tmp_path / "a.json"), str(tmp_path / "b.json")]
    assert main(["eval", "compare", *files, "--json", "-"]) == 0
    compared = json.loads(capsys.readouterr().out)["comparisons"]
    assert [one["task"] for one in compared] == ["one"] * 3 + ["two"] * 3
    assert all(one["metrics"]["ndcg@10"]["p"] == 1 for one in compared)
    assert main(["eval", "compare", *files]) == 0
    assert "a.json: fake, dense (A) and b.json: fake, dense (B)" in capsys.readouterr().out
    assert main(["eval", "compare", files[0], *files]) == 2


def test_words_that_are_known_give_a_word_error_rate(tmp_path: Path) -> None:
    from wavrag.data.tasks import load_task
    from wavrag.embed.cascade import Cascade
    from wavrag.evaluate import evaluate_embedder

    class Says:
        def __init__(self) -> None:
            from wavrag.embed.moonshine import SPEC

            self.spec = SPEC

        def transcribe(self, clip: Any) -> str:
            return "a low tone here"

    queries = [{"_id": "q", "audio": "sounds/low.wav", "transcript": "A low tone."}]
    task = load_task(make_task(tmp_path, queries=queries, qrels=[("q", "tea", 1)]))
    (system,) = evaluate_embedder(task, Cascade(Says()), ["fused"])
    assert system.word_errors is not None
    assert (system.word_errors.errors, system.word_errors.words) == (1, 3)
    assert system.query_words == {"q": "a low tone here"}
