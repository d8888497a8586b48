"""Result files of `wavrag eval`, `wavrag answers` and `python -m experiments`, read back."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

from wavrag.errors import InputError

Kind: TypeAlias = Literal["eval", "answers", "experiment"]
Figures: TypeAlias = Mapping[str, Any]  # one JSON document, or a task's part of one


def read_figures(path: str | os.PathLike[str]) -> Figures:
    """A file of figures, checked to be one.

    Raises:
        InputError: it cannot be read, or is of no kind that is known.
    """
    try:
        figures = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(figures, dict):
        raise InputError(f"{path}: is no object: name a file that --json wrote")
    kind_of(figures, path)
    return figures


def kind_of(figures: Figures, path: str | os.PathLike[str] = "") -> Kind:
    """What wrote the figures.

    Raises:
        InputError: nothing that is known.
    """
    if "experiment" in figures and isinstance(figures.get("tables"), list):
        return "experiment"
    if "generator" in figures and isinstance(figures.get("figures"), dict):
        return "answers"
    if isinstance(figures.get("systems"), list) or isinstance(figures.get("tasks"), list):
        return "eval"
    raise InputError(
        f"{path}: holds no figures that are known: name a file written by `wavrag eval --json`,"
        " `wavrag answers --json`, or the results.json of an experiment"
    )


def evaluations(path: str | os.PathLike[str]) -> list[Figures]:
    """The tasks of a file of `wavrag eval`, each in the shape of `report_dict`.

    Raises:
        InputError: it is no such file, or holds no values of single queries.
    """
    figures = read_figures(path)
    if kind_of(figures, path) != "eval":
        raise InputError(
            f"{path}: holds no evaluation: name a file that `wavrag eval --json` wrote"
        )
    return tasks_of(figures, path)


def tasks_of(figures: Figures, path: str | os.PathLike[str]) -> list[Figures]:
    """Each task of the figures of `wavrag eval`.

    Raises:
        InputError: they hold no values of single queries, or are damaged.
    """
    tasks: Sequence[Figures] = figures.get("tasks", [figures])
    for task in tasks:
        try:
            for system in task["systems"]:
                lengths = {len(values) for values in system["values"].values()}
                lengths |= {len(system["found"]), len(system["words"]), len(task["asked"])}
                if len(lengths) != 1:
                    raise InputError(f"{path}: is damaged: its systems differ in their queries")
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: holds no values of single queries ({error}): measure again with this"
                " version and --json"
            ) from error
    return list(tasks)


def name_of(system: Figures) -> str:
    """An embedder with its legs."""
    return f"{system['embedder']}, {system['legs']}"


def task_of(figures: Figures) -> str:
    """A task with what is used of it."""
    sides = (("queries", figures["query_modality"]), ("entries", figures["corpus_modality"]))
    used = [f"{noun}: {modality} only" for noun, modality in sides if modality]
    return f"{figures['task']} ({', '.join(used)})" if used else str(figures["task"])
