"""Figures for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from wavrag.evaluate.metrics import CONFIDENCE, METRICS, RESAMPLES, SEED
from wavrag.evaluate.retrieval import System
from wavrag.evaluate.tasks import Task

COLUMN = 13  # characters of a figure


def report_dict(task: Task, systems: Sequence[System]) -> dict[str, Any]:
    """The shape of an evaluation in JSON: what was measured on what, by which version."""
    return {
        "task": task.name,
        "queries": len(task.queries),
        "entries": len(task.corpus),
        "query_modality": task.query_modality,
        "corpus_modality": task.corpus_modality,
        "wavrag": version("wavrag"),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
        "systems": [
            {
                "embedder": system.embedder,
                "revision": system.revision,
                "legs": system.legs,
                "metrics": {name: round(value, 4) for name, value in system.metrics.items()},
                "ci95": {
                    name: [round(end, 4) for end in ends] for name, ends in system.ci95.items()
                },
                "unanswered": system.unanswered,
                "query_ms_p50": round(system.query_ms[0], 1),
                "query_ms_p95": round(system.query_ms[1], 1),
                "index_seconds": round(system.index_seconds, 2),
                "passages": system.passages,
            }
            for system in systems
        ],
    }


def table(task: Task, systems: Sequence[System]) -> str:
    """A row for each system, with the ends of its intervals in the row below."""
    names = [max(len(word) for word in words) for words in zip(*_names(systems), strict=True)]
    lines = [f"{task.name}: {_sides(task)}"]
    labels = zip(("embedder", "legs"), names, strict=True)
    head = "  ".join(label.ljust(width) for label, width in labels)
    lines.append(head + "".join(f"  {name:<{COLUMN}}" for name in METRICS) + "  s/query")
    for system in systems:
        pairs = zip((system.embedder, system.legs), names, strict=True)
        row = "  ".join(label.ljust(width) for label, width in pairs)
        means = (f"{system.metrics[name]:.3f}" for name in METRICS)
        ends = ("[{:.3f} {:.3f}]".format(*system.ci95[name]) for name in METRICS)
        seconds = f"{system.query_ms[0] / 1e3:.3f}"
        lines.append(row + "".join(f"  {mean:<{COLUMN}}" for mean in means) + f"  {seconds}")
        lines.append((" " * len(row) + "".join(f"  {end:<{COLUMN}}" for end in ends)).rstrip())
    first = {system.embedder: system for system in systems}
    lines += [
        f"{name}: {system.passages:,} passages indexed in {system.index_seconds:.1f} s"
        for name, system in first.items()
    ]
    lines += [
        f"{system.embedder}, {system.legs}: found nothing for {system.unanswered:,} of the queries"
        for system in systems
        if system.unanswered
    ]
    lines.append(
        f"In brackets {CONFIDENCE:.0%} bootstrap intervals over queries. s/query: median of"
        " embedding and searching both legs."
    )
    return "\n".join(lines)


def _names(systems: Sequence[System]) -> list[tuple[str, str]]:
    return [("embedder", "legs"), *((system.embedder, system.legs) for system in systems)]


def _sides(task: Task) -> str:
    sides = (
        (len(task.queries), "queries", task.query_modality),
        (len(task.corpus), "entries", task.corpus_modality),
    )
    return ", ".join(
        f"{count:,} {noun}{f' ({modality} only)' if modality else ''}"
        for count, noun, modality in sides
    )
