"""HTML report of results: tables, bars, and the worst queries with their recordings.

The page is one file that contains all it shows and loads nothing from the network. Its templates
are in `templates/`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wavrag.errors import InputError, MissingExtraError
from wavrag.evaluate.bar_chart import BarChart
from wavrag.evaluate.comparison import METRIC
from wavrag.evaluate.page_audio import PageAudio
from wavrag.evaluate.results import (
    Figures,
    Kind,
    detect_kind,
    list_tasks,
    query_text,
    system_name,
    task_name,
)

MAX_CHARACTERS = 600  # of a passage's text on the page
TEMPLATES = Path(__file__).with_name("templates")
IMAGE_TYPES = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True)
class RenderedPage:
    """The source of a page, and messages about missing contents for the author of the page."""

    html: str
    notes: tuple[str, ...]


def render_report(
    results: Mapping[str, Figures], *, worst: int = 20, audio_bytes: int = 20_000_000
) -> RenderedPage:
    """Render the HTML report of result files.

    Shows at most `worst` failed queries of each system and task; `audio_bytes` limits all audio.

    Raises:
        InputError: a result file is damaged, or of an unknown kind.
        MissingExtraError: Jinja2 is not installed.
    """
    if find_spec("jinja2") is None:
        raise MissingExtraError("rendering HTML reports", "evaluate")
    recordings = PageAudio(audio_bytes)
    builders: Mapping[Kind, Callable[[str, Figures], Iterable[dict[str, Any]]]] = {
        "eval": partial(_evaluation_sections, worst=worst, recordings=recordings),
        "answers": _answer_sections,
        "experiment": _experiment_sections,
    }
    sections: list[dict[str, Any]] = []
    for path, figures in results.items():
        try:
            sections += builders[detect_kind(figures, path)](path, figures)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: is damaged ({error!r}): measure again") from error
    html = _render(sections, recordings)
    count = len(recordings.skipped)
    note = f"{count} recordings are not in the page; a note stands in place of each"
    return RenderedPage(html, (note,) if count else ())


def _render(sections: list[dict[str, Any]], recordings: PageAudio) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,  # a misspelt field is an error, not an empty cell
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _format_number
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    # The policy allows this script alone, so that text from a task cannot run as one even if a
    # template forgot to escape it.
    script_hash = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:;"
        f" script-src 'sha256-{script_hash}'"
    )
    return environment.get_template("report.html").render(
        sections=sections,
        recordings=recordings.uris,
        policy=policy,
        script=Markup(script),  # from this package: escaping would break it
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
    )


def _format_number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.4g}" if abs(value) >= 1 else f"{value:.3f}"


def _evaluation_sections(
    path: str, figures: Figures, worst: int, recordings: PageAudio
) -> Iterator[dict[str, Any]]:
    for task in list_tasks(figures, path):
        systems = task["systems"]
        metrics = list(systems[0]["metrics"]) if systems else []
        heads = ["embedder", "legs", *metrics, "word error rate", "ms per query, p50", "p95"]
        heads += ["CPU s per hour indexed", "CPU s per hour queried"]
        yield {
            "template": "evaluation.html",
            "title": task_name(task),
            "path": path,
            **{name: task[name] for name in ("query_count", "corpus_count")},
            "heads": heads,
            "rows": [_system_row(system, metrics) for system in systems],
            "metric": METRIC,
            "chart": BarChart(
                f"{METRIC} of each system",
                [(system_name(s), s["metrics"][METRIC], s["ci95"][METRIC]) for s in systems],
            ),
            "systems": [_list_failures(task, system, worst, recordings) for system in systems],
        }


def _system_row(system: Figures, metrics: list[str]) -> list[Any]:
    return [
        system["embedder"],
        system["legs"],
        *({"mean": system["metrics"][name], "ci95": system["ci95"][name]} for name in metrics),
        system["wer"] and {"mean": system["wer"]["rate"], "ci95": system["wer"]["ci95"]},
        *(system[f"query_ms_p{percentile}"] for percentile in (50, 95)),
        system["index_cost"]["cpu_seconds_per_audio_hour"],
        system["query_cost"]["cpu_seconds_per_audio_hour"],
    ]


def _list_failures(
    task: Figures, system: Figures, count: int, recordings: PageAudio
) -> dict[str, Any]:
    """Collect the queries with the worst values of a system, worst first."""
    values, corpus = system["values"], task["corpus"]
    rows = [row for row, value in enumerate(values[METRIC]) if value < 1]
    # Ties by another metric and by id, so that equal results make equal pages.
    rows.sort(
        key=lambda row: (values[METRIC][row], values["mrr@10"][row], task["queries"][row]["id"])
    )
    failures = []
    for row in rows[:count]:
        query = task["queries"][row]
        failures.append(
            {
                "id": query["id"],
                "text": query_text(query),
                "value": values[METRIC][row],
                "words": system["query_words"][row],
                "recording": _add_recording(query.get("audio"), None, recordings),
                "relevant": [_show_passage(corpus[id], id, recordings) for id in query["relevant"]],
                "hits": [
                    {
                        "relevant": hit["id"] in query["relevant"],
                        "score": hit["score"],
                        "location": hit.get("location"),
                        "passage": _show_passage(corpus[hit["id"]], hit["id"], recordings, hit),
                    }
                    for hit in system["hits"][row]
                ],
            }
        )
    return {"name": system_name(system), "failure_count": len(rows), "failures": failures}


def _show_passage(
    passage: Figures, id: str, recordings: PageAudio, hit: Figures | None = None
) -> dict[str, Any]:
    """Describe a corpus passage, or the span of it that a hit covers."""
    span = hit.get("span") if hit else None
    # Without a hit, a passage is shown by its text if it has one.
    is_audio = hit["modality"] == "audio" if hit else not passage.get("text")
    text = passage.get("transcript" if is_audio else "text", "")
    if not is_audio and span:
        text = text[int(span[0]) : int(span[1])]
    if len(text) > MAX_CHARACTERS:
        text = f"{text[:MAX_CHARACTERS]} \u2026"
    # A hit in the text of a passage with both modalities needs no player.
    play = is_audio or not hit
    return {
        "id": id,
        "title": passage.get("title"),
        "text": text,
        "transcript": hit.get("transcript") if hit else None,
        "recording": _add_recording(passage.get("audio"), span, recordings) if play else None,
    }


def _add_recording(path: str | None, span: Any, recordings: PageAudio) -> dict[str, str] | None:
    if not path:
        return None
    key, note = recordings.add(path, *(span or (0.0, None)))
    return {"key": key, "note": note}


def _answer_sections(path: str, figures: Figures) -> Iterator[dict[str, Any]]:
    yield {
        "template": "answers.html",
        "title": f"Answers: {figures['generator']}",
        "path": path,
        **{name: figures[name] for name in ("answerable", "unanswerable", "paths")},
        "rows": [
            [name, {"mean": figure["mean"], "ci95": figure["ci95"]}, figure["questions"]]
            for name, figure in figures["figures"].items()
        ],
    }


def _experiment_sections(path: str, figures: Figures) -> Iterator[dict[str, Any]]:
    folder = Path(path).parent
    yield {
        "template": "findings.html",
        "title": f"Experiment: {figures['title']}",
        "path": path,
        **{name: figures[name] for name in ("question", "findings", "left_out")},
        "tables": [
            {name: table[name] for name in ("title", "columns", "rows", "note")}
            for table in figures["tables"]
        ],
        "plots": [_load_plot(folder / file, name) for name, file in figures["figures"].items()],
    }


def _load_plot(path: Path, name: str) -> dict[str, str]:
    try:
        data = base64.b64encode(path.read_bytes()).decode()
        return {"name": name, "uri": f"data:{IMAGE_TYPES[path.suffix]};base64,{data}"}
    except (OSError, KeyError) as error:
        return {"name": name, "uri": "", "error": str(error)}
