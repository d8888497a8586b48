"""Figures for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

from wavrag.data import Task, TaskContent
from wavrag.evaluate.cost import Cost
from wavrag.evaluate.metrics import CONFIDENCE, METRICS, RESAMPLES, SEED
from wavrag.evaluate.system import PERCENTILES, RetrievedHit, System

COLUMN = 13  # characters of a figure


def report_dict(
    task: Task, systems: Sequence[System], cpu_price: float | None = None
) -> dict[str, Any]:
    """The shape of an evaluation in JSON: what was measured on what, by which version.

    With what each query reached and found, so that `wavrag.evaluate.comparison` can pair it and a
    report can show it.

    Args:
        task: what was asked of what.
        systems: as measured.
        cpu_price: of an hour of one processor; None leaves money out.
    """
    shown = {found.entry for system in systems for each in system.found.values() for found in each}
    shown |= {id for judged in task.qrels.values() for id, score in judged.items() if score > 0}
    return {
        "task": task.name,
        "queries": len(task.queries),
        "entries": len(task.corpus),
        "query_modality": task.query_modality,
        "corpus_modality": task.corpus_modality,
        "wavrag": version("wavrag"),
        "bootstrap": {"resamples": RESAMPLES, "seed": SEED},
        "cpu_price_per_hour": cpu_price,
        "systems": [_system_dict(task, system, cpu_price) for system in systems],
        "asked": [
            {
                "id": id,
                **_entry_dict(entry),
                "expected": {one: score for one, score in task.qrels[id].items() if score > 0},
            }
            for id, entry in task.queries.items()
        ],
        "corpus": {id: _entry_dict(entry) for id, entry in task.corpus.items() if id in shown},
    }


def _system_dict(task: Task, system: System, cpu_price: float | None) -> dict[str, Any]:
    latency = zip(PERCENTILES, system.latency(), strict=True)
    errors = system.errors
    return {
        "embedder": system.embedder,
        "revision": system.revision,
        "gives_words": system.gives_words,
        "legs": system.legs,
        "metrics": {name: round(value, 4) for name, value in system.metrics.items()},
        "ci95": {name: [round(end, 4) for end in ends] for name, ends in system.ci95.items()},
        "unanswered": system.unanswered,
        **{f"query_ms_p{percentile}": round(ms, 1) for percentile, ms in latency},
        "index_seconds": round(system.index_seconds, 2),
        "passages": system.passages,
        "wer": None
        if errors is None
        else {
            "rate": round(errors.rate, 4),
            "ci95": [round(end, 4) for end in errors.ci95],
            "wrong": errors.wrong,
            "words": errors.words,
            "clips": errors.clips,
        },
        "index_cost": _cost_dict(system.indexing, cpu_price),
        "query_cost": _cost_dict(system.asking, cpu_price),
        "values": {
            name: [round(value, 6) for value in values] for name, values in system.values.items()
        },
        "words": [system.words[id] for id in task.queries],
        "found": [[_found_dict(found) for found in system.found[id]] for id in task.queries],
    }


def _cost_dict(cost: Cost, cpu_price: float | None) -> dict[str, Any]:
    needed = cost.cpu_seconds_per_hour
    money = None if cpu_price is None else cost.price_per_hour(cpu_price)
    return {
        "cpu_seconds": round(cost.cpu_seconds, 2),
        "audio_seconds": round(cost.audio_seconds, 1),
        "cpu_seconds_per_audio_hour": None if needed is None else round(needed, 1),
        "price_per_audio_hour": None if money is None else round(money, 6),
    }


def _entry_dict(entry: TaskContent) -> dict[str, Any]:
    fields = {
        "title": entry.title,
        "text": entry.text,
        "said": entry.said,
        "audio": entry.audio or "",
    }
    return {name: value for name, value in fields.items() if value}


def _found_dict(found: RetrievedHit) -> dict[str, Any]:
    fields: Mapping[str, Any] = {
        "id": found.entry,
        "score": round(found.score, 6),
        "location": found.location,
        "span": found.span,
        "modality": found.modality,
        "heard": found.heard,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def table(task: Task, systems: Sequence[System], cpu_price: float | None = None) -> str:
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
    for system in {system.embedder: system for system in systems}.values():
        lines += _about(system, cpu_price)
    lines += [
        f"{system.embedder}, {system.legs}: found nothing for {system.unanswered:,} of the queries"
        for system in systems
        if system.unanswered
    ]
    lines += _legend(task, systems)
    return "\n".join(lines)


def _about(system: System, cpu_price: float | None) -> list[str]:
    """Lines on what is the same for all legs of an embedder."""
    latency = " ".join(
        f"p{p} {ms:.0f}" for p, ms in zip(PERCENTILES, system.latency(), strict=True)
    )
    lines = [
        f"{system.embedder}: {system.passages:,} passages indexed in {system.index_seconds:.1f} s;"
        f" ms a query: {latency}"
    ]
    if (errors := system.errors) is not None:
        lines.append(
            f"{system.embedder}: {errors.rate:.1%} of {errors.words:,} words wrong"
            f" [{errors.ci95[0]:.1%} {errors.ci95[1]:.1%}] in {errors.clips:,} recordings"
        )
    for what, cost in (("indexing", system.indexing), ("asking", system.asking)):
        if (needed := cost.cpu_seconds_per_hour) is not None:
            money = None if cpu_price is None else cost.price_per_hour(cpu_price)
            lines.append(
                f"{system.embedder}: {what} takes {needed:,.0f} CPU seconds an hour of sound"
                + (f", {money:.4f} at {cpu_price:g} a CPU hour" if money is not None else "")
            )
    return lines


def _legend(task: Task, systems: Sequence[System]) -> list[str]:
    lines = [
        f"In brackets {CONFIDENCE:.0%} bootstrap intervals over queries. s/query: median of"
        " embedding and searching both legs."
    ]
    if any(system.legs == "lexical" for system in systems):
        spoken = any(entry.audio for side in (task.corpus, task.queries) for entry in side.values())
        heard = "; of recordings, the words that the embedder recognised" if spoken else ""
        lines.append(f"dense: vectors alone. lexical: BM25 over words alone{heard}. fused: both.")
        deaf = {system.embedder for system in systems if spoken and not system.gives_words}
        lines += [f"{name} recognises no words of recordings." for name in sorted(deaf)]
    return lines


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
