"""Views of the page: accessibility in light and dark, files, speakers, copies and errors."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.base import AXE_SCRIPT

from audio_files import tone, write
from browser import CHROMIUM, QUIET, ask_typed, expect, finished_turn, open_page, sync_api
from serving import create_rag, serving
from wavrag import WavRAG
from wavrag.kb import find_files
from wavrag.server import ServerOptions
from wavrag.types import Document

MEETING = """WEBVTT

00:00.000 --> 00:04.000
<v speaker 1>The bridge stays closed until May.

00:04.000 --> 00:08.000
<v speaker 2>Who pays for the paint of the bridge?
"""
GARDEN = "# The garden\n\n## Watering\n\nThe watering of the garden takes two cans.\n"
TOKEN = "a-token-of-this-test"
# Only colours differ between the schemes.
RULES: dict[str, dict[str, Any]] = {"light": {}, "dark": {"runOnly": ["color-contrast"]}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with a transcript, a text in two places, and a file that is not read."""
    folder = tmp_path_factory.mktemp("files")
    sound = np.concatenate([tone(hertz, 4, 16_000) for hertz in (300, 500)])
    write(folder / "meeting.wav", sound[None], 16_000)
    (folder / "meeting.vtt").write_text(MEETING)
    for name in ("garden.md", "copy/garden.md"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(GARDEN)
    (folder / "tool.exe").write_bytes(b"MZ\0\0")
    return folder


@pytest.fixture(scope="module")
def rag(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    with create_rag(tmp_path_factory.mktemp("rag")) as rag:
        rag.kb.add(find_files([folder]).documents)
        yield rag


@pytest.fixture(scope="module")
def url(rag: WavRAG, folder: Path) -> Iterator[str]:
    with serving(rag, ServerOptions(voice="fake", watch_folders=(str(folder),))) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=[*QUIET])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with open_page(browser, url, reduced_motion="reduce") as opened:
        yield opened


def check_access(page: Any, view: str) -> None:
    """Check that axe finds nothing of moderate or higher impact in a view, in light and dark."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    for scheme, rules in RULES.items():
        page.emulate_media(color_scheme=scheme)
        options = {"resultTypes": ["violations"], **rules}
        result = page.evaluate("options => axe.run(document, options)", options)
        problems = [
            f"{view}, {scheme}: {rule['id']}: {node['html']} {node['failureSummary']}"
            for rule in result["violations"]
            if rule["impact"] != "minor"
            for node in rule["nodes"]
        ]
        assert not problems, "\n".join(problems)


def test_no_view_has_findings_of_axe(page: Any) -> None:
    expect(page.locator("#examples li")).to_have_count(1)
    expect(page.locator("#recent li")).to_have_count(4)
    check_access(page, "start")
    turn = ask_typed(page, "Who won the chess championship of Reykjavik in nineteen seventy two?")
    turn.get_by_title("Timing").click()
    check_access(page, "no answer")
    turn = ask_typed(page, "Who pays for the paint of the bridge?")
    expect(turn.locator(".origin").first).to_contain_text("meeting.vtt")
    turn.locator(".card").first.click()
    expect(turn.locator(".player .time")).to_contain_text("/ 0:08")
    check_access(page, "answer with a player")
    turn.get_by_role("button", name="Transcript").first.click()
    expect(page.locator("#reader-text .line")).to_have_count(2)
    check_access(page, "transcript")
    page.click("#tab-chapters")
    expect(page.locator("#reader-text .summary .line").first).to_contain_text("bridge")
    expect(page.locator("#reader-text .chapters .line")).to_have_count(1)
    check_access(page, "chapters")
    page.click("#tab-speakers")
    page.get_by_role("button", name="Name speaker 2").click()
    check_access(page, "speakers")
    page.keyboard.press("Escape")
    page.click("#reader-close")
    page.click("#to-library")
    page.locator("#watch summary").click()
    expect(page.locator("#watch")).to_contain_text(".exe, 1 file")
    page.set_input_files(
        "#files", [{"name": "zeros.mp3", "mimeType": "audio/mpeg", "buffer": bytes(5000)}]
    )
    expect(page.locator("#uploads .failed")).to_contain_text("is not decodable audio")
    page.problems.clear()  # the browser logs the status
    check_access(page, "library")
    page.get_by_role("button", name="Remove Bees").click()
    check_access(page, "removal")
    page.get_by_role("button", name="Cancel").click()
    page.locator(".open", has_text="garden").first.click()
    check_access(page, "text")


def test_a_speaker_is_named(page: Any, rag: WavRAG) -> None:
    rag.kb._voices.remember("Bo", np.eye(1, 256, dtype=np.float32)[0])
    page.click("#to-library")
    page.locator(".open", has_text="meeting.vtt").click()
    page.click("#tab-speakers")
    rows = page.locator(".speakers > li")
    expect(rows.nth(1)).to_contain_text("speaks for 4 s, first at 0:04")
    rows.nth(1).get_by_role("button", name="Name speaker 2").click()
    page.get_by_label("Name of speaker 2").fill("Ada")
    page.keyboard.press("Enter")
    expect(rows.nth(1)).to_contain_text("Ada")
    page.get_by_role("button", name="Forget the voice of Bo").click()
    expect(page.locator(".voices")).to_be_hidden()
    page.locator("#tab-speakers").press("ArrowRight")
    expect(page.locator("#tab-transcript")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#reader-text .line").nth(1)).to_contain_text("Ada Who pays")
    page.click("#reader-close")


def test_files_open_and_copies_are_named(page: Any, folder: Path) -> None:
    turn = ask_typed(page, "How many cans does the watering of the garden take?")
    origin = turn.locator(".origin").first
    expect(origin).to_contain_text("also at")
    with page.context.expect_page() as opened:
        origin.get_by_role("link", name="Open the original").click()
    expect(opened.value.locator("body")).to_contain_text("## Watering")
    page.click("#to-library")
    page.set_input_files(
        "#files", [{"name": "g.md", "mimeType": "text/markdown", "buffer": GARDEN.encode()}]
    )
    expect(page.locator("#uploads li")).to_contain_text("already in the library as “The garden”")
    page.locator("#uploads").get_by_role("button", name="Open").click()
    expect(page.locator("#reader-origin")).to_contain_text("garden.md")
    page.keyboard.press("Escape")
    page.select_option("#kind", "vtt")
    expect(page.locator("#documents .document")).to_have_count(1)
    page.select_option("#kind", "")
    page.select_option("#sort", "kind")
    names = page.locator("#documents .open .location").all_inner_texts()
    kinds = [name.partition(" · ")[0].rpartition(".")[2] for name in names]
    assert kinds == sorted(kinds)


def test_similar_passages_open_below_their_card(page: Any, rag: WavRAG) -> None:
    texts = [f"The lantern of the pier is lit at dusk{mark}" for mark in ".!;"]
    rag.kb.add([Document(f"lantern {n}", text=text) for n, text in enumerate(texts)])
    turn = ask_typed(page, "When is the lantern of the pier lit?")
    turn.get_by_text("2 similar").first.click()
    similar = turn.locator(".similar .card")
    expect(similar).to_have_count(2)
    expect(turn.locator(".similar .origin")).to_have_count(2)
    expect(turn.locator(".similar .origin a")).to_have_count(0)  # these texts have no file
    similar.first.click()
    expect(page.locator("#reader-text mark")).to_contain_text("lit at dusk")
    page.keyboard.press("Escape")
    rag.kb.remove([f"lantern {n}" for n in range(3)])


def test_a_long_recording_is_loaded_in_pieces(page: Any, rag: WavRAG, tmp_path: Path) -> None:
    write(tmp_path / "night.wav", tone(300, 400, 8_000)[None], 8_000)
    cues = [(0, 4, "The first boat leaves."), (119, 125, "The owl calls."), (380, 384, "Dawn.")]
    clock = [(f"{a // 60:02}:{a % 60:02}.000", f"{b // 60:02}:{b % 60:02}.000") for a, b, _ in cues]
    lines = [
        f"{start} --> {end}\n{cue[2]}\n" for (start, end), cue in zip(clock, cues, strict=True)
    ]
    (tmp_path / "night.vtt").write_text("WEBVTT\n\n" + "\n".join(lines))
    rag.kb.add([Document("night", path=str(tmp_path / "night.vtt"))])
    page.click("#to-library")
    page.locator(".open", has_text="night").click()
    timeline, wave = page.locator("#reader-player .timeline"), page.locator("#reader-player .wave")
    expect(wave).to_have_attribute("aria-valuemax", "120")  # of 384 s
    page.select_option("#reader-player .speed", "2")
    page.locator("#reader-text .line").nth(2).click()
    expect(page.locator("#reader-player .time")).to_have_text(re.compile(r"6:2\d / 6:24"))
    assert page.locator("#reader-player audio").evaluate("a => a.playbackRate") == 2
    timeline.fill("118")
    page.locator("#reader-player .time").wait_for()
    expect(timeline).to_have_attribute("aria-valuetext", re.compile("1:5.|2:0."))
    wave.press("End")  # of the loaded piece
    expect(wave).to_have_attribute("aria-valuemin", re.compile("23."), timeout=10_000)
    page.click("#reader-close")
    rag.kb.remove(["night"])


ANSWER = """The 🚌 run late: [1]
Route: Night bus | Fare: 4.50
Route: Hill tram | Fare: 1.90 [1]
- before nine [1]
- after ten
```
  if late:
```"""


def test_tables_lists_and_code_keep_their_layout(page: Any) -> None:
    start = ANSWER.index("1.90")
    result = {
        "question": "When?", "answer": ANSWER, "found": True, "hits": [], "timings_ms": {},
        "short_span": [start, start + 4],
        "citations": [{"number": 1, "id": "a#0", "document_id": "a", "modality": "text",
            "source": "a", "title": "A", "location": "", "quote": "late", "text": "late",
            "metadata": {}}],
    }  # fmt: skip
    body = f"event: answer\ndata: {json.dumps(result)}\n\n"
    page.route(
        "**/v1/ask", lambda route: route.fulfill(body=body, content_type="text/event-stream")
    )
    answer = ask_typed(page, "When?").locator(".answer")
    assert answer.locator("th").all_inner_texts() == ["Route", "Fare"]
    rows = answer.locator("tbody tr").all()
    assert [row.locator("td").all_inner_texts() for row in rows] == [
        ["Night bus", "4.50"],
        ["Hill tram", "1.90\u202f1"],
    ]
    assert answer.locator("li").all_inner_texts() == ["before nine\u202f1", "after ten"]
    assert answer.locator("pre").inner_text() == "  if late:"
    expect(answer.locator("button.cite")).to_have_count(3)
    assert answer.locator("mark").all_inner_texts() == ["1.90"]
    check_access(page, "answer with a short answer")


def test_a_citation_number_stays_with_its_word(page: Any) -> None:
    turn = ask_typed(page, "When does the ferry leave?")
    cited = turn.locator(".answer .keep").first
    assert cited.inner_text().split() == ["morning.", "1"]
    assert cited.evaluate("e => getComputedStyle(e).whiteSpace") == "nowrap"


def test_a_refused_token_is_named_and_a_failed_question_is_asked_again(
    browser: Any, tmp_path: Path
) -> None:
    options = ServerOptions(voice="fake", tokens=frozenset({TOKEN}))
    phone = {"viewport": {"width": 375, "height": 640}}
    with (
        create_rag(tmp_path) as rag,
        serving(rag, options) as address,
        open_page(browser, address, **phone) as page,
    ):
        for value, is_refused in (("not-this-one-but-long", False), (TOKEN, True)):
            assert page.locator("#token-refused").is_visible() == is_refused
            page.fill("#token-value", value)
            page.get_by_role("button", name="Continue").click()
            expect(page.locator("#token-refused")).to_be_visible(visible=not is_refused)
            if not is_refused:
                check_access(page, "refused token")
        expect(page.locator("#welcome")).to_contain_text("What would you like to know?")
        for number in range(3):  # the page is longer than the screen
            ask_typed(page, f"When does ferry {number} leave?")
        page.context.set_offline(True)
        turn = ask_typed(page, "What does the ferry carry?")
        expect(turn.locator(".failed")).to_contain_text("The server does not respond")
        page.wait_for_timeout(500)  # it scrolls
        check_access(page, "error")
        failure = turn.locator(".failed").bounding_box()
        assert failure["y"] + failure["height"] < page.locator("#composer").bounding_box()["y"]
        page.context.set_offline(False)
        turn.get_by_role("button", name="Try again").click()
        turn = finished_turn(page)
        expect(turn.locator(".answer")).to_contain_text("nine in the morning")
        expect(page.locator(".turn")).to_have_count(4)
        with page.context.expect_page() as opened:  # a link alone would send no token
            turn.get_by_label("Open the original of ferry").first.click()
        expect(opened.value.locator("body")).to_contain_text("nine in the morning")
        page.problems.clear()  # the browser logs refusals and lost connections
