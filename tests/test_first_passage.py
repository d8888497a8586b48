"""The developers' table: runs of two versions on the same tasks, differences and bars."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from audio_files import tone, write
from wavrag.data.task_files import TaskRows, write_task
from wavrag.data.tasks import load_task

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))


def put_task(folder: Path, queries: dict[str, str]) -> None:
    """A task of three texts; queries by id and relevant passage."""
    texts = {"tea": "green leaves steep", "sea": "waves roll over walls", "sun": "light of noon"}
    write_task(
        folder,
        TaskRows(
            [{"_id": id, "text": text} for id, text in texts.items()],
            [{"_id": id, "text": texts[passage]} for id, passage in queries.items()],
            [(id, passage, 1) for id, passage in queries.items()],
        ),
    )


def test_every_corpus_is_indexed_once_and_every_query_runs_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import code_runs

    put_task(tmp_path / "tasks/all", {"a": "tea", "b": "sea", "c": "sun"})
    put_task(tmp_path / "tasks/subset", {"z": "sun"})
    tasks = code_runs.read_tasks(tmp_path / "tasks")
    present = code_runs.CodeTree("present", ROOT)
    present.check()
    runs: list[list[str]] = []
    run = code_runs.CodeTree.run

    def count(tree: Any, arguments: list[str]) -> Any:
        runs.append(list(load_task(arguments[3]).queries))
        return run(tree, arguments)

    monkeypatch.setattr(code_runs.CodeTree, "run", count)
    limited = {name: code_runs.limit_queries(task, 2) for name, task in tasks.items()}
    assert list(limited["all"].queries) == ["a", "b"]
    cache = tmp_path / "cache"
    first = code_runs.evaluate(present, "fake", limited, cache)
    assert first["all"] == {"recall@1": [1, 1], "recall@10": [1, 1]}
    assert [len(queries) for queries in runs] == [3]
    second = code_runs.evaluate(present, "fake", tasks, cache)
    assert second["subset"] == {"recall@1": [1], "recall@10": [1]}
    assert len(runs) == 1, "the queries of all tasks are in the cache"
    put_task(tmp_path / "tasks/subset", {"z": "tea", "y": "sea"})
    changed = replace(
        load_task(tmp_path / "tasks/subset"), qrels={"z": {"tea": 2.0}, "y": {"sea": 1.0}}
    )
    code_runs.evaluate(present, "fake", {"subset": changed}, cache)
    assert [len(queries) for queries in runs] == [3, 1], "only what changed runs again"


def test_clips_that_are_queries_and_corpus_keep_their_ids(tmp_path: Path) -> None:
    import code_runs

    clips = []
    for number in range(3):
        write(tmp_path / f"{number}.wav", tone(200 + 300 * number, 1.0, 16_000)[None], 16_000)
        clips.append({"_id": f"{number}", "audio": tmp_path / f"{number}.wav"})
    rows = TaskRows(clips, clips[:2], [("0", "1", 1), ("1", "0", 1)])
    write_task(tmp_path / "tasks/similar", rows)
    tasks = code_runs.read_tasks(tmp_path / "tasks")
    present = code_runs.CodeTree("present", ROOT)
    values = code_runs.evaluate(present, "fake", tasks)
    # Of three clips, the query itself is left out: the other two are among ten.
    assert values["similar"]["recall@10"] == [1, 1]


def measurements(**extra: list[float]) -> Any:
    """Four queries of a task; the baseline has two of them first, the embedder three."""
    import first_passage

    baseline = {"squad-spoken": {"recall@1": [1, 1, 0, 0], "recall@10": [1, 1, 1, 1]}}
    present = {"squad-spoken": {"recall@1": [1, 1, 1, 0], "recall@10": [1, 1, 1, 0]}}
    speed = [dict.fromkeys(first_passage.SPEED_ROWS, 2.0), dict.fromkeys(extra, 1.0)]
    for figure, values in extra.items():
        speed[0][figure], speed[1][figure] = values
    return first_passage.Measurements(baseline, {"new": present}, speed if extra else ())


def test_bars_say_whether_they_are_met() -> None:
    import first_passage

    bars = {bar.label: bar for bar in first_passage.list_bars(measurements(), "new", "new")}
    first = bars["new: gain of recall@1 on squad-spoken"]
    assert (first.measured, first.verdict) == (0.25, "met")
    tenth = bars["new: gain of recall@10 on squad-spoken"]
    assert (tenth.measured, tenth.verdict) == (-0.25, "NOT MET")
    share = bars["new: share of the baseline's recall@10 on squad-spoken"]
    assert (share.measured, share.least, share.verdict) == (0.75, 0.95, "NOT MET")
    assert bars["new: recall@1 on qed-untitled"].verdict == "not measured"
    assert bars["new: ratio of question, wall s"].verdict == "not measured"
    exact = first_passage.Bar("the bar itself", 0.1 + 0.2, least=0.3, most=0.3)
    assert exact.verdict == "met", "0.1 + 0.2 is 0.30000000000000004"


@pytest.mark.parametrize(
    ("task", "share"), [("librispeech", 0.95), ("x-babble-5db", 0.9), ("x-ambience-0db", None)]
)
def test_the_fast_embedder_keeps_a_share_of_the_baseline(task: str, share: float | None) -> None:
    import first_passage

    assert first_passage.fast_share(task) == share


def test_tables_have_differences_and_ratios(tmp_path: Path) -> None:
    import code_runs
    import first_passage

    put_task(tmp_path / "squad-spoken", {"a": "tea", "b": "sea", "c": "sun"})
    tasks = code_runs.read_tasks(tmp_path)
    results = measurements()
    assert first_passage.format_table(results, tasks, "old").splitlines() == [
        "| task | queries | old | `new` |",
        "|---|---|---|---|",
        "| `squad-spoken` | 3 | .500 / 1.000 | .750 / .750 (+.250, -.250) |",
    ]
    figures = {name: [2.0, 1.0] for name in first_passage.SPEED_ROWS}
    rows = first_passage.format_speed(measurements(**figures), "old").splitlines()
    assert "| question of 5 s: wall time, ms | 2,000 | 1,000 (0.50) |" in rows
    assert measurements(**figures).ratio("new", "indexing, peak MB") == 0.5
    plot = tmp_path / "plot.png"
    first_passage.draw(results, "old", plot)
    assert plot.read_bytes()[:4] == b"\x89PNG"


def test_speed_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    import code_runs
    import first_passage_speed

    recordings = []
    for number in range(2):
        recordings.append(tmp_path / f"{number}.wav")
        write(recordings[-1], tone(200, 1.0, 16_000)[None], 16_000)
    row = {"_id": "a", "audio": recordings[0]}
    write_task(tmp_path / "task", TaskRows([{"_id": "p", "text": "x"}], [row], [("a", "p", 1)]))
    task = load_task(tmp_path / "task")
    passages = first_passage_speed.write_passages(task, tmp_path / "passages.jsonl")
    assert json.loads(passages.read_text()) == {"id": "p", "text": "x", "title": ""}
    present = code_runs.CodeTree("present", ROOT)
    run, kb = first_passage_speed.measure_in_process, tmp_path / "kb"
    assert run(present, "build", kb, "fake", passages) == {"passages": 1}
    figures = run(present, "question", kb, "fake", *first_passage_speed.pick_questions(task))
    figures |= run(present, "index", tmp_path / "kb-2", "fake", *recordings)
    import first_passage

    assert figures.keys() == first_passage.SPEED_ROWS.keys()
    assert all(value > 0 for value in figures.values())
