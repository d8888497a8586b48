"""The page of results: what is in it, what is escaped, and that a browser plays it."""

import html
import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from test_data_tasks import CORPUS, QUERIES, make_task
from wavrag.cli import main
from wavrag.errors import InputError, MissingExtraError
from wavrag.evaluate.page import render_report
from wavrag.evaluate.results import read_figures

CHROMIUM = shutil.which("chromium")
HOSTILE = "<script>alert('x')</script>\"&"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which recordings are asked, found and missed."""
    folder = tmp_path_factory.mktemp("page")
    queries = [*QUERIES[:3], {"_id": HOSTILE, "audio": "sounds/low.wav", "transcript": HOSTILE}]
    task = make_task(
        folder / "task",
        [*CORPUS, {"_id": "evil", "title": HOSTILE, "text": HOSTILE}],
        queries,
        [("q-tea", "tea", 1), ("q-low", "low", 1), ("q-both", "sea", 1), (HOSTILE, "evil", 1)],
    )
    target = folder / "results.json"
    assert main(["eval", str(task), "--embedder", "fake", "--json", str(target)]) == 0
    return target


def page_of(path: Path, **options: Any) -> str:
    return render_report({str(path): read_figures(path)}, **options).html


def test_failures_are_shown_with_their_sound(results: Path) -> None:
    page = page_of(results)
    assert escape(HOSTILE) in page
    assert HOSTILE not in page
    assert "fake, dense: 2 queries below 1" in page
    assert page.count("<audio ") >= 3
    sounds = json.loads(re.search(r'id="recordings">(.*?)</script>', page)[1])
    assert all(uri.startswith("data:audio/mpeg;base64,") for uri in sounds.values())
    keys = set(map(html.unescape, re.findall(r'data-key="(.*?)"', page)))
    assert keys == set(sounds)
    assert not re.search(r'(?:src|href)="(?!#|data:)', page), "nothing from anywhere else"


def test_what_does_not_fit_is_said(results: Path) -> None:
    page = render_report({str(results): read_figures(results)}, audio_bytes=10)
    assert "<audio " not in page.html
    assert "the recording is left out, as the page would be too large" in page.html
    assert "recordings are not in the page" in page.notes[0]


def test_the_worst_are_as_many_as_asked(results: Path) -> None:
    assert page_of(results, worst=1).count("<details>") <= 3
    assert page_of(results, worst=0).count("<details>") == 0


def test_answers_and_experiments_have_sections(tmp_path: Path) -> None:
    (tmp_path / "plot.png").write_bytes(b"\x89PNG")
    answers = {
        "generator": HOSTILE, "paths": 1, "answerable": 2, "unanswerable": 1,
        "figures": {"f1": {"mean": 0.5, "ci95": [0.2, 0.8], "questions": 2}},
    }  # fmt: skip
    experiment = {
        "experiment": "noise", "title": "Noise", "question": "Where do the curves cross?",
        "tables": [
            {
                "name": "t", "title": "T", "note": "n = 7", "columns": ["snr", "recall"],
                "rows": [[5, {"mean": 0.25, "ci95": [0.1, 0.4]}], [0, None]],
            }
        ],
        "figures": {"curves": "plot.png", "gone": "gone.png"},
        "findings": ["They cross at 3.2 dB."], "left_out": ["whisper"],
    }  # fmt: skip
    page = render_report({"a.json": answers, str(tmp_path / "results.json"): experiment}).html
    for part in ("0.500", "0.200 to 0.800", "They cross at 3.2 dB.", "n = 7", "whisper", "0.250"):
        assert part in page
    assert "data:image/png;base64," in page
    assert "The plot gone is not in the page" in page
    assert HOSTILE not in page


def test_without_jinja2_the_extra_is_named(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'wavrag\[evaluate\]'"):
        page_of(results)


def test_damaged_figures_are_named() -> None:
    with pytest.raises(InputError, match=r"x\.json: is damaged"):
        render_report({"x.json": {"experiment": "noise", "tables": [], "question": "?"}})


def test_the_command_writes_the_page(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "report.html"
    assert main(["eval", "report", str(results), "--out", str(target)]) == 0
    assert "1 file of results" in capsys.readouterr().out
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert main(["eval", "report", str(results), "--out", str(tmp_path)]) == 1
    assert "--out" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_plays_it_and_asks_nobody(results: Path, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    target = tmp_path / "report.html"
    target.write_text(page_of(results), encoding="utf-8")
    asked: list[str] = []
    wrong: list[str] = []
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        page = browser.new_page(viewport={"width": 390, "height": 800})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: wrong.append(message.text))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(target.as_uri())
        page.locator("details:has(audio) > summary").first.focus()
        page.keyboard.press("Enter")
        player = page.locator("details[open] audio").first
        seconds = player.evaluate(
            "async one => { await one.play(); while (one.currentTime < 0.2)"
            " await new Promise(later => setTimeout(later, 20)); return one.duration }"
        )
        wide = page.evaluate("document.documentElement.scrollWidth > innerWidth")
        browser.close()
    assert seconds == pytest.approx(1.0, abs=0.2)
    assert not wide, "a phone need not scroll sideways"
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert wrong == []
