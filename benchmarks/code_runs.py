"""Runs of two versions of WavRAG on the same tasks, each in processes of its own; not a program."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from wavrag.data import Task, TaskContent, load_task
from wavrag.data.task_files import Row, TaskRows, write_task

ROOT = Path(__file__).parent.parent
METRICS = ("recall@1", "recall@10")

Values = Mapping[str, Sequence[float]]  # one value per query for each metric


@dataclass(frozen=True)
class CodeTree:
    """A version of the code: the folder with its `src`, and a name for it."""

    name: str
    root: Path

    def run(self, arguments: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python with the package of this tree, in a folder without code, and get its output.

        Raises:
            CalledProcessError: it failed; its messages went to standard error.
        """
        environment = os.environ | {"PYTHONPATH": str(self.root.resolve() / "src")}
        with tempfile.TemporaryDirectory() as folder:  # the working folder comes first in sys.path
            return subprocess.run(
                [sys.executable, *arguments],
                check=True, stdout=subprocess.PIPE, text=True, env=environment, cwd=folder,
                **options,
            )  # fmt: skip

    def check(self) -> None:
        """Check that a process imports the package of this tree.

        Raises:
            SystemExit: another installation comes first.
        """
        path = self.run(["-c", "import wavrag; print(wavrag.__file__)"]).stdout.strip()
        if not Path(path).is_relative_to(self.root.resolve()):
            raise SystemExit(f"the process imports {path}, not the package in {self.root}")


@contextmanager
def check_out(commit: str) -> Iterator[CodeTree]:
    """Yield the tree of a commit in a temporary folder."""
    archive = subprocess.run(
        ["git", "-C", str(ROOT), "archive", "--format=tar", commit, "src"],
        check=True,
        stdout=subprocess.PIPE,
    ).stdout
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(fileobj=io.BytesIO(archive)) as files:
            files.extractall(folder, filter="data")
        yield CodeTree(commit, Path(folder))


def read_tasks(folder: Path, limit: int | None = None) -> dict[str, Task]:
    """Read all tasks in the subfolders of a folder, by name.

    Args:
        folder: of task folders.
        limit: maximum number of queries per task, taken at equal distances.

    Raises:
        SystemExit: there is no task.
    """
    paths = sorted(path.parent for path in folder.glob("*/corpus.jsonl"))
    if not paths:
        raise SystemExit(f"{folder} holds no task folders: write some with tools/make_tasks.py")
    return {path.name: limit_queries(load_task(path), limit) for path in paths}


def limit_queries(task: Task, limit: int | None) -> Task:
    """Select queries at equal distances, so that all conditions keep the same ones."""
    ids = list(task.queries)
    if limit is None or limit >= len(ids):
        return task
    selection = [ids[number * len(ids) // limit] for number in range(limit)]
    return replace(
        task,
        queries={id: task.queries[id] for id in selection},
        qrels={id: task.qrels[id] for id in selection},
    )


def hash_corpus(task: Task) -> str:
    """Compute a hash of the corpus; that of clips that are also queries is unlike any other."""
    digest = hashlib.sha256()
    for content in task.corpus.values():
        digest.update(_content_bytes(content) + content.id.encode())
    # A passage with the id of the query is no hit, so such a corpus is not shared between tasks.
    return digest.hexdigest()[:16] + (f"-{task.name}" if has_own_clips(task) else "")


def hash_query(task: Task, id: str) -> str:
    """Compute a hash of everything that affects the figures of a query on a corpus."""
    digest = hashlib.sha256(_content_bytes(task.queries[id]))
    digest.update(json.dumps(dict(task.qrels[id])).encode())
    return id if has_own_clips(task) else digest.hexdigest()[:16]


def has_own_clips(task: Task) -> bool:
    """Return True if queries are passages of the corpus at the same time."""
    return bool(task.corpus.keys() & task.queries.keys())


def _content_bytes(content: TaskContent) -> bytes:
    words = json.dumps([content.title, content.text]).encode()
    return words + (Path(content.audio).read_bytes() if content.audio else b"")


def evaluate(
    tree: CodeTree, embedder: str, tasks: Mapping[str, Task], cache: Path | None = None
) -> dict[str, Values]:
    """Measure an embedder on tasks; each distinct corpus is indexed once, each query runs once.

    Args:
        tree: code to run.
        embedder: its name in that code.
        tasks: tasks by name.
        cache: folder of earlier results, read and completed; None to measure everything.

    Returns:
        Values of `METRICS` for each task, fused legs, one per query in the task's order.
    """
    groups: dict[str, dict[str, Task]] = {}
    for name, task in tasks.items():
        groups.setdefault(hash_corpus(task), {})[name] = task
    results: dict[str, Values] = {}
    for corpus, group in groups.items():
        keys = {name: [hash_query(task, id) for id in task.queries] for name, task in group.items()}
        file = cache / f"{embedder}-{tree.name}-{corpus}.json" if cache is not None else None
        values = json.loads(file.read_text("utf-8")) if file is not None and file.exists() else {}
        if any(key not in values for task_keys in keys.values() for key in task_keys):
            print(f"{tree.name}, {embedder}: {', '.join(group)}", file=sys.stderr, flush=True)
            values |= evaluate_group(tree, embedder, group, keys, values.keys())
            if file is not None:
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(values), encoding="utf-8")
        for name, task_keys in keys.items():
            results[name] = {
                metric: [values[key][metric] for key in task_keys] for metric in METRICS
            }
    return {name: results[name] for name in tasks}


def evaluate_group(
    tree: CodeTree,
    embedder: str,
    tasks: Mapping[str, Task],
    keys: Mapping[str, Sequence[str]],
    measured: Container[str],
) -> dict[str, dict[str, float]]:
    """Measure tasks with the same corpus in one run of `wavrag eval`.

    Args:
        tree: code to run.
        embedder: its name in that code.
        tasks: tasks by name.
        keys: hash of each query; equal queries run once.
        measured: hashes of queries to leave out.

    Returns:
        Values of `METRICS` for each hash.
    """
    queries: dict[str, Row] = {}
    qrels: list[tuple[str, str, float]] = []
    for name, task in tasks.items():
        for key, (id, query) in zip(keys[name], task.queries.items(), strict=True):
            if key not in queries and key not in measured:
                queries[key] = content_row(query, key)
                qrels += [(key, passage, score) for passage, score in task.qrels[id].items()]
    corpus = next(iter(tasks.values())).corpus
    with tempfile.TemporaryDirectory() as folder:
        rows = [content_row(content, id) for id, content in corpus.items()]
        write_task(Path(folder), TaskRows(rows, queries.values(), qrels))
        command = ["-m", "wavrag", "eval", folder, "--embedder", embedder, "--legs", "fused"]
        report = json.loads(tree.run([*command, "--json", "-"]).stdout)
    # At 40fceed, `queries` is their number and `asked` are the queries.
    ids = [row["id"] for row in report.get("asked") or report["queries"]]
    values = report["systems"][0]["values"]
    return {id: {metric: values[metric][at] for metric in METRICS} for at, id in enumerate(ids)}


def content_row(content: TaskContent, id: str) -> Row:
    """Build a line of a task file."""
    row = {"title": content.title, "text": content.text, "audio": content.audio}
    return {"_id": id} | {name: value for name, value in row.items() if value}
