"""Result files of `wavrag eval`, `wavrag answers` and `python -m experiments`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wavrag.errors import InputError

Kind: TypeAlias = Literal["eval", "answers", "experiment"]
Figures: TypeAlias = Mapping[str, Any]  # a JSON document of results, or an object inside it


def read_figures(path: str | os.PathLike[str]) -> Figures:
    """Read a result file and check its kind.

    Raises:
        InputError: the file cannot be read, or is not a known kind of result file.
    """
    try:
        figures = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(figures, dict):
        raise InputError(f"{path}: is not a JSON object: name a file written by --json")
    detect_kind(figures, path)
    return figures


def detect_kind(figures: Figures, path: str | os.PathLike[str]) -> Kind:
    """Tell which command wrote the results.

    Raises:
        InputError: it is none of the known commands.
    """
    # Result files have no field for their kind: their keys tell them apart.
    if "experiment" in figures and isinstance(figures.get("tables"), list):
        return "experiment"
    if "generator" in figures and isinstance(figures.get("figures"), dict):
        return "answers"
    if isinstance(figures.get("systems"), list) or isinstance(figures.get("tasks"), list):
        return "eval"
    raise InputError(
        f"{path}: is not a known result file: name a file written by `wavrag eval --json` or"
        " `wavrag answers --json`, or the results.json of an experiment"
    )


def read_evaluations(path: str | os.PathLike[str]) -> list[Figures]:
    """Read the tasks of a result file of `wavrag eval`, each in the form of `report_to_dict`.

    Raises:
        InputError: it is another kind of file, or lacks the values of single queries.
    """
    figures = read_figures(path)
    if detect_kind(figures, path) != "eval":
        raise InputError(
            f"{path}: is not an evaluation: name a file written by `wavrag eval --json`"
        )
    return list_tasks(figures, path)


def list_tasks(figures: Figures, path: str | os.PathLike[str]) -> list[Figures]:
    """List the tasks in the results of `wavrag eval` and check their lengths.

    Raises:
        InputError: values of single queries are missing or damaged.
    """
    # A run of one task writes the task itself, and a run of several writes a list.
    tasks: Sequence[Figures] = figures.get("tasks", [figures])
    for task in tasks:
        try:
            for system in task["systems"]:
                lengths = {len(values) for values in system["values"].values()}
                lengths |= {len(system["hits"]), len(system["query_words"]), len(task["queries"])}
                if len(lengths) != 1:
                    raise InputError(
                        f"{path}: is damaged: its systems have different numbers of queries"
                    )
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: has no values of single queries ({error}): measure again with this"
                " version and --json"
            ) from error
    return list(tasks)


def system_name(system: Figures) -> str:
    """Name a system by its embedder and legs."""
    return f"{system['embedder']}, {system['legs']}"


def task_name(task: Figures) -> str:
    """Name a task, with the modalities to which it is restricted."""
    restrictions = (("queries", task["query_modality"]), ("corpus", task["corpus_modality"]))
    labels = [f"{noun}: {modality} only" for noun, modality in restrictions if modality]
    return f"{task['task']} ({', '.join(labels)})" if labels else str(task["task"])


def query_text(query: Figures) -> str:
    """Return the words of a query, spoken or written; empty if they are unknown."""
    return str(query.get("transcript") or query.get("text") or query.get("title") or "")
