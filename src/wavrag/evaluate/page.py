"""One page of any set of results: tables, bars, and the failures to read and listen to.

The page holds all that it shows and asks no host for anything.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from wavrag.errors import InputError
from wavrag.evaluate import markup
from wavrag.evaluate.comparison import METRIC, said_of
from wavrag.evaluate.results import Figures, kind_of, name_of, task_of, tasks_of
from wavrag.evaluate.sound import Sounds

LONGEST_TEXT = 600  # characters of an entry

# Players get their sound when their failure is opened; each recording is in the page once.
SCRIPT = """
const sounds=JSON.parse(document.getElementById("sounds").textContent);
for(const box of document.querySelectorAll("details"))box.addEventListener("toggle",()=>{
for(const player of box.querySelectorAll("audio[data-key]"))if(!player.src)
player.src=sounds[player.dataset.key]})
"""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """What a page shows.

    Attributes:
        worst: failures of each system and task.
        audio_bytes: of all recordings together; what does not fit is named.
    """

    worst: int = 20
    audio_bytes: int = 20_000_000


@dataclass(frozen=True, slots=True)
class Page:
    """A page that was made.

    Attributes:
        html: all of it.
        remarks: what is not in it, for who made it.
    """

    html: str
    remarks: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.html.encode())


def report_page(results: Mapping[str, Figures], options: PageOptions | None = None) -> Page:
    """Make the page.

    Args:
        results: figures by the path of their file, as `read_figures` gives them.
        options: what it shows.

    Raises:
        InputError: figures are damaged, or of no kind that is known.
    """
    options = options or PageOptions()
    sounds = Sounds(options.audio_bytes)
    sections: list[tuple[str, str]] = []
    for path, figures in results.items():
        try:
            sections += _SECTIONS[kind_of(figures, path)](path, figures, options, sounds)
        except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
            raise InputError(f"{path}: is damaged ({error!r}): measure again") from error
    links = "".join(
        f'<li><a href="#s{number}">{escape(title)}</a></li>'
        for number, (title, _) in enumerate(sections)
    )
    body = "".join(
        f'<section id="s{number}"><h2>{escape(title)}</h2>{html}</section>'
        for number, (title, html) in enumerate(sections)
    )
    script_hash = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    policy = (
        "default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:;"
        f" script-src 'sha256-{script_hash}'"
    )
    kept = json.dumps(sounds.uris).replace("<", "\\u003c")
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>WavRAG: results</title><style>{markup.STYLE}</style></head><body>"
        f'<h1>Results</h1><nav aria-label="Contents"><ul>{links}</ul></nav><main>{body}</main>'
        f'<script type="application/json" id="sounds">{kept}</script><script>{SCRIPT}</script>'
        "</body></html>\n"
    )
    missing = len(sounds.left_out)
    remarks = (f"{missing} recordings are not in the page; it says so in their places",)
    return Page(html, remarks if missing else ())


def write_page(path: str | os.PathLike[str], html: str) -> None:
    """Write a page.

    Raises:
        InputError: it cannot be written.
    """
    try:
        Path(path).write_text(html, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _evaluations(
    path: str, figures: Figures, options: PageOptions, sounds: Sounds
) -> Iterator[tuple[str, str]]:
    for task in tasks_of(figures, path):
        systems = task["systems"]
        names = list(systems[0]["metrics"]) if systems else []
        rows = [
            [
                system["embedder"],
                system["legs"],
                *(
                    {"mean": system["metrics"][name], "ci95": system["ci95"][name]}
                    for name in names
                ),
                {"mean": system["wer"]["rate"], "ci95": system["wer"]["ci95"]}
                if system["wer"]
                else None,
                *(system[f"query_ms_p{p}"] for p in (50, 95)),
                system["index_cost"]["cpu_seconds_per_audio_hour"],
                system["query_cost"]["cpu_seconds_per_audio_hour"],
            ]
            for system in systems
        ]
        heads = ["embedder", "legs", *names, "words wrong", "ms a query, p50", "p95"]
        heads += ["CPU s an hour indexed", "CPU s an hour asked"]
        html = (
            f"<p>{task['queries']:,} queries, {task['entries']:,} entries. From"
            f" <code>{escape(path)}</code>. Below each mean its 95 % bootstrap interval."
            " <b>dense</b>: vectors alone. <b>lexical</b>: BM25 over words alone; of recordings,"
            " the words that the embedder recognised. <b>fused</b>: both.</p>"
            + markup.table(heads, rows, task_of(task))
            + f"<h3>{METRIC}</h3>"
            + markup.bars(
                f"{METRIC} of each system",
                [(name_of(s), s["metrics"][METRIC], s["ci95"][METRIC]) for s in systems],
            )
        )
        for system in systems:
            html += _failures(task, system, options, sounds)
        yield task_of(task), html


def _failures(task: Figures, system: Figures, options: PageOptions, sounds: Sounds) -> str:
    """The queries on which a system does worst, worst first."""
    values = system["values"]
    failed = [row for row, value in enumerate(values[METRIC]) if value < 1]
    failed.sort(
        key=lambda row: (values[METRIC][row], values["mrr@10"][row], task["asked"][row]["id"])
    )
    shown = failed[: options.worst]
    html = f"<h3>{escape(name_of(system))}: {len(failed):,} queries below 1"
    html += f", the worst {len(shown)}</h3>" if len(failed) > len(shown) else "</h3>"
    for row in shown:
        asked = task["asked"][row]
        title = said_of(asked) or asked["id"]
        known = [("said", said_of(asked)), ("understood as", system["words"][row] or "")]
        expected = "".join(
            f"<li>{_entry(task['corpus'][id], id, sounds)}</li>" for id in asked["expected"]
        )
        found = "".join(
            f"<li>{_hit(task, hit, asked['expected'], sounds)}</li>" for hit in system["found"][row]
        )
        html += (
            f"<details><summary><b>{values[METRIC][row]:.2f}</b> {escape(title)}</summary><div>"
            f'<p class="dim">{escape(asked["id"])}</p>'
            f"{_player(asked.get('audio'), None, sounds)}<dl>"
            + "".join(
                f"<dt>{name}</dt><dd>{escape(words) or '(not known)'}</dd>" for name, words in known
            )
            + f"</dl><dl><dt>expected</dt><dd><ul>{expected}</ul></dd><dt>found</dt>"
            f"<dd>{f'<ol>{found}</ol>' if found else 'nothing'}</dd></dl></div></details>"
        )
    return html


def _hit(task: Figures, hit: Figures, expected: Figures, sounds: Sounds) -> str:
    right = hit["id"] in expected
    mark = '<b class="yes">right</b>' if right else '<b class="no">wrong</b>'
    place = f", {escape(hit['location'])}" if hit.get("location") else ""
    return f"{mark}, score {hit['score']:.3f}{place} " + _entry(
        task["corpus"][hit["id"]], hit["id"], sounds, hit
    )


def _entry(entry: Figures, id: str, sounds: Sounds, hit: Figures | None = None) -> str:
    """An entry, or the stretch of it that was found."""
    span, heard = (hit.get("span"), hit.get("heard")) if hit else (None, None)
    recording = hit["modality"] == "audio" if hit else not entry.get("text")
    text = entry.get("said", "") if recording else entry.get("text", "")
    if not recording and span:
        text = text[int(span[0]) : int(span[1])]
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} \u2026"
    parts = [f'<span class="dim">{escape(id)}</span>']
    if entry.get("title"):
        parts.append(f"<b>{escape(entry['title'])}</b>")
    parts.append(escape(text))
    if heard:
        parts.append(f'<span class="dim">heard:</span> {escape(heard)}')
    if recording or not hit:
        parts.append(_player(entry.get("audio"), span, sounds))
    return " ".join(part for part in parts if part)


def _player(path: str | None, span: Any, sounds: Sounds) -> str:
    if not path:
        return ""
    key, remark = sounds.add(path, *(span or (0.0, None)))
    said = f'<span class="dim">({escape(remark)})</span>' if remark else ""
    player = f'<audio controls preload="metadata" data-key="{escape(key)}"></audio>' if key else ""
    return player + said


def _answers(
    path: str, figures: Figures, options: PageOptions, sounds: Sounds
) -> Iterator[tuple[str, str]]:
    rows = [[name, one, one["questions"]] for name, one in figures["figures"].items()]
    text = (
        f"<p>{figures['answerable']:,} answerable questions, {figures['unanswerable']:,} others,"
        f" {figures['paths']} path(s). From <code>{escape(path)}</code>.</p>"
    )
    yield f"Answers: {figures['generator']}", text + markup.table(["figure", "mean", "of"], rows)


def _experiment(
    path: str, figures: Figures, options: PageOptions, sounds: Sounds
) -> Iterator[tuple[str, str]]:
    html = f"<p>{escape(figures['question'])} From <code>{escape(path)}</code>.</p>"
    for title, lines in (("Found", figures["findings"]), ("Left out", figures["left_out"])):
        if lines:
            items = "".join(f"<li>{escape(line)}</li>" for line in lines)
            html += f"<h3>{title}</h3><ul>{items}</ul>"
    for one in figures["tables"]:
        html += f"<h3>{escape(one['title'])}</h3>"
        html += markup.table(one["columns"], one["rows"], one["title"])
        html += f'<p class="dim">{escape(one["note"])}</p>' if one["note"] else ""
    for name, file in figures["figures"].items():
        html += _figure(Path(path).parent / file, name)
    yield f"Experiment: {figures['title']}", html


def _figure(path: Path, name: str) -> str:
    kinds = {".png": "image/png", ".svg": "image/svg+xml"}
    try:
        data = base64.b64encode(path.read_bytes()).decode()
        kind = kinds[path.suffix]
    except (OSError, KeyError) as error:
        return (
            f'<p class="dim">The plot {escape(name)} is not in the page: {escape(str(error))}</p>'
        )
    return (
        f'<figure><img alt="{escape(name)}" style="max-width:100%;background:#fff"'
        f' src="data:{kind};base64,{data}"></figure>'
    )


_SECTIONS = {"eval": _evaluations, "answers": _answers, "experiment": _experiment}
