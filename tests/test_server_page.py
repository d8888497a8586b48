"""The page in a real browser; its fake microphone plays recorded questions."""

import json
import re
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from browser import CHROMIUM, QUIET, TIMEOUT, ask_typed, expect, finished_turn, open_page, sync_api
from scripted_server import Says
from scripted_server import serving as serve_script
from serving import serving
from wavrag import KnowledgeBase, WavRAG
from wavrag.audio import load
from wavrag.demo import DATA
from wavrag.embed import Embedder
from wavrag.generate import load_generator
from wavrag.kb import find_files
from wavrag.server import ServerOptions

OPTIONS = ServerOptions(voice="fake")
RATE = 48_000  # Hz
RECORDINGS = ("honeybee-lecture.opus", "storm-forecast.opus")
ALLOWED = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PLAYS, SILENT = "a => !a.paused && a.currentTime > 0", "a => a.paused"
PHONE = {"width": 375, "height": 740}


@pytest.fixture(scope="module")
def kb(cascade: Embedder, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KnowledgeBase]:
    """The documents of the demo corpus, and some of its recordings, on the default embedder."""
    corpus = DATA / "corpus"
    sounds = [corpus / "recordings" / name for name in RECORDINGS]
    with KnowledgeBase.open(tmp_path_factory.mktemp("page") / "kb", embedder=cascade) as opened:
        opened.add(find_files([corpus / "documents", *sounds]).documents)
        yield opened


@pytest.fixture(scope="module")
def url(kb: KnowledgeBase) -> Iterator[str]:
    with serving(WavRAG(kb, load_generator("extractive")), OPTIONS) as address:
        yield address


@pytest.fixture(scope="module")
def playwright() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        yield started


def question(folder: Path, name: str) -> Path:
    """A recorded question of the demo with silence around it, for the fake microphone."""
    clip = load(DATA / "questions" / name, RATE)
    quiet = np.zeros(RATE, np.float32)
    sound = np.concatenate([quiet, clip.samples, quiet, quiet])
    path = folder / f"{name}.wav"
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound * 32767).astype("<i2").tobytes())
    return path


@pytest.fixture(scope="module")
def browser(playwright: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A browser; its microphone plays the question about the honeybee each time it is opened."""
    recording = question(tmp_path_factory.mktemp("sound"), "bee-distance.opus")
    sound = f"--use-file-for-fake-audio-capture={recording}%noloop"
    arguments = [*QUIET, *ALLOWED, sound]
    opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield opened
    opened.close()


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with open_page(browser, url) as opened:
        expect(opened.locator("#welcome")).to_contain_text("What would you like to know?")
        yield opened


def record_events(page: Any) -> list[dict[str, Any]]:
    """A list to which the events of voice connections are added."""
    events: list[dict[str, Any]] = []

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda data: events.append(json.loads(data)))

    page.on("websocket", listen)
    return events


def wait_until(page: Any, is_true: str, element: Any) -> None:
    """Poll an element; the content security policy forbids `wait_for_function`."""
    for _ in range(TIMEOUT // 50):
        if element.evaluate(is_true):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{is_true}: it is still false")


def seconds(text: str) -> float:
    minutes, rest = text.split(":")
    return 60 * int(minutes) + int(rest)


def check_playing(page: Any, card: Any) -> None:
    """Check that the recording of a card plays within its span."""
    start, end = map(seconds, card.locator(".card .location").inner_text().split("–"))
    audio = card.locator("audio")
    wait_until(page, PLAYS, audio)
    before = audio.evaluate("a => a.currentTime")
    wait_until(page, f"a => a.currentTime > {before} + 0.3", audio)
    at = float(card.locator(".wave").get_attribute("aria-valuenow"))
    assert start - 1 <= at <= end + 1


def test_hands_free_with_hits_during_speech_and_a_citation(page: Any) -> None:
    events = record_events(page)
    page.click("#hands-free")
    expect(page.locator("#status")).to_contain_text("Just speak")
    # The turn has not ended, so these are partial hits.
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    assert page.locator(".turn .hits-label").inner_text() == "Results so far"
    first = page.locator(".sources > li")
    ids_before = first.evaluate_all("all => all.map(e => (e.wasThere = true, e.dataset.id))")
    turn = finished_turn(page)
    names = [event["event"] for event in events]
    assert names.index("partial_hits") < names.index("turn_ended") < names.index("hits")
    assert names.count("hits") == 1
    # A remaining passage keeps its element, so that it can be animated.
    cards = first.evaluate_all("all => all.map(e => [e.dataset.id, !!e.wasThere])")
    assert all(was for id, was in cards if id in ids_before)
    assert len({id for id, _ in cards}) == len(cards)
    expect(turn.locator(".question")).to_contain_text("honeybee")
    expect(turn.locator(".answer")).to_contain_text("the farther away the flowers are")
    expect(turn.locator(".timing p")).to_be_hidden()
    latency = turn.locator(".timing p").text_content()
    assert re.match(
        r"Results \d+ ms after you stopped speaking · first word \d+ ms · includes", latency
    )
    expect(page.locator("#announcement")).to_contain_text("source")

    turn.locator("button.cite").first.click()
    card = turn.locator(".sources > li[data-number]").first
    expect(card).to_contain_text("honeybee-lecture")
    check_playing(page, card)
    page.click("#hands-free")
    expect(page.locator("#listening")).to_be_hidden()


def test_push_to_talk_with_the_keyboard_alone(page: Any) -> None:
    keyboard = page.keyboard
    keyboard.down(" ")
    expect(page.locator("#talk")).to_have_attribute("aria-pressed", "true")
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    expect(page.locator(".question")).to_contain_text("flowers", timeout=TIMEOUT)
    keyboard.up(" ")
    turn = finished_turn(page)
    expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
    keyboard.press("/")
    expect(page.locator("#question")).to_be_focused()

    def tab_to(element: str, key: str = "Tab") -> None:
        for _ in range(40):
            if page.evaluate("name => document.activeElement.matches(name)", element):
                return
            keyboard.press(key)
        raise AssertionError(f"{element} cannot be reached")

    tab_to("button.cite", "Shift+Tab")
    keyboard.press("Enter")
    card = turn.locator(".sources > li[data-number]").first
    check_playing(page, card)
    keyboard.press("Escape")
    wait_until(page, SILENT, card.locator("audio"))
    tab_to(".player .wave")
    keyboard.press("Home")
    at = card.locator("audio").evaluate("a => a.currentTime")
    keyboard.press("ArrowRight")
    moved = card.locator("audio").evaluate("a => a.currentTime") - at
    assert moved == pytest.approx(1, abs=0.05)

    tab_to("#to-library", "Shift+Tab")
    keyboard.press("Enter")
    tab_to("#documents .open")
    keyboard.press("Enter")
    expect(page.locator("#reader")).to_be_visible()
    keyboard.press("Escape")
    expect(page.locator("#reader")).to_be_hidden()


def test_a_tap_on_the_microphone_listens_until_the_next_tap(page: Any) -> None:
    page.locator("#talk").click()
    expect(page.locator("#status")).to_contain_text("Press again")
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    page.locator("#talk").click()
    finished_turn(page)
    expect(page.locator("#listening")).to_be_hidden()


def test_escape_during_speech_removes_the_turn(page: Any) -> None:
    events = record_events(page)
    page.locator("#talk").click()
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    page.keyboard.press("Escape")
    expect(page.locator(".turn")).to_have_count(0)
    assert "hits" not in [event["event"] for event in events]


def test_words_that_were_heard_can_be_searched_instead(page: Any) -> None:
    best = [{"text": "ferry", "weight": 1.0}]
    hits = {"words": "Is the Ferry open?", "corrections": [{"word": "fairy", "alternatives": best}]}

    def answer(socket: Any) -> None:
        def receive(message: str | bytes) -> None:
            if isinstance(message, bytes):
                return
            if "mode" in message:
                socket.send(json.dumps({"event": "ready"}))
            if "end" in message:
                for event in (
                    {"event": "turn_ended", "reason": "requested", "after_speech_ms": 10},
                    {"event": "hits", "hits": [], **hits},
                ):
                    socket.send(json.dumps({"turn": 1, **event}))

        socket.on_message(receive)

    page.route_web_socket("**/v1/live", answer)
    page.locator("#talk").click()
    expect(page.locator("#status")).to_contain_text("Press again")
    page.locator("#talk").click()
    expect(page.locator(".suggestion")).to_contain_text("Did you mean: Is the Ferry open?")
    page.get_by_role("button", name="Search for the words as heard").click()
    expect(finished_turn(page).locator(".question")).to_have_text("Is the fairy open?")


def test_typed_questions_with_a_highlighted_passage_and_a_follow_up(page: Any) -> None:
    sent: list[dict[str, Any]] = []

    def keep(request: Any) -> None:
        if request.url.endswith("/ask"):
            sent.append(json.loads(request.post_data))

    page.on("request", keep)
    turn = ask_typed(page, "Where are dogs allowed on the ferry?")
    expect(turn.locator(".answer")).to_contain_text("open upper deck")
    turn.get_by_title("Timing").click()
    expect(turn.locator(".timing p")).to_have_text(re.compile(r"Results \d+ ms after you asked"))
    turn.locator("button.cite").first.click()
    expect(page.locator("#reader-title")).to_contain_text("FERRY")
    expect(page.locator("#reader-text mark.quote").first).to_contain_text("upper deck")
    expect(page.locator("#reader-text mark.quote").first).to_be_in_viewport()
    page.keyboard.press("Escape")

    ask_typed(page, "And what about bicycles?")
    assert page.locator(".turn").count() == 2  # earlier turns stay
    (turn_sent,) = sent[1]["history"]
    assert turn_sent["question"] == "Where are dogs allowed on the ferry?"
    assert "upper deck" in turn_sent["answer"]
    page.click("#new-conversation")
    expect(page.locator(".turn")).to_have_count(0)


def test_a_cited_quote_is_played_and_its_words_are_marked(page: Any) -> None:
    turn = ask_typed(page, "How strong will the gusts of the storm be on Saturday?")
    turn.locator("button.cite").first.click()
    card = turn.locator(".sources > li[data-number]").first
    check_playing(page, card)
    start, end = map(seconds, card.locator(".card .location").inner_text().split("–"))
    assert end - start < 10  # the sentence, not its passage
    expect(card.locator(".snippet .word.spoken")).to_have_count(1)
    card.get_by_label("Pause").click()
    expect(card.locator(".snippet .word.spoken")).to_have_count(0)


def test_a_transcript_follows_playback_and_is_searched(page: Any) -> None:
    page.click("#to-library")
    page.locator("#documents .document", has_text="honeybee-lecture").locator(".open").click()
    lines = page.locator("#reader-text .line")
    expect(lines.nth(3)).to_contain_text("The first part of the message is direction")
    line = lines.nth(3)
    line.get_by_text("message", exact=True).click()
    expect(line.locator(".word.spoken")).to_have_count(1)
    expect(line).to_have_class("line playing")
    started = float(line.get_by_text("message", exact=True).get_attribute("data-start"))
    at = float(page.locator("#reader-player .wave").get_attribute("aria-valuenow"))
    assert at == pytest.approx(started, abs=1.5)
    page.fill("#reader-find", "sun")
    expect(page.locator("#reader-text .line:visible")).to_have_count(2)
    expect(page.locator("#reader-text .word.match").first).to_have_text("sun.")
    expect(page.locator("#reader-found")).to_contain_text("2 of")
    page.fill("#reader-find", "")
    page.get_by_label("Pause").click()
    lines.nth(1).hover()
    page.get_by_label("Correct: She dances").click()
    field = page.locator(".correction textarea")
    field.press("Escape")
    expect(page.locator("#reader")).to_be_visible()  # only the correction ends
    lines.nth(1).hover()
    page.get_by_label("Correct: She dances").click()
    field.fill("She waltzes on the dark vertical comb.")
    page.locator(".correction .primary").click()
    expect(lines.nth(1)).to_contain_text("She waltzes on the dark vertical comb.")
    expect(lines.nth(1)).to_be_focused()
    expect(lines.nth(0)).to_contain_text("So how does a honeybee")
    page.click("#reader-close")
    expect(page.locator("#reader-player .player")).to_have_count(0)


def test_reading_aloud_and_barge_in(page: Any) -> None:
    page.click("#read-aloud")
    ask_typed(page, "Which buildings in Fairhaven survived the great fire?")
    speaker = page.locator("#speaker")
    wait_until(page, PLAYS, speaker)
    page.click("#stop")
    wait_until(page, SILENT, speaker)
    expect(page.locator("#stop")).to_be_hidden()
    ask_typed(page, "Which buildings in Fairhaven survived the great fire?")
    wait_until(page, PLAYS, speaker)
    page.locator("#talk").click()  # barge-in
    wait_until(page, SILENT, speaker)
    page.keyboard.press("Escape")


def test_an_answer_is_stopped_during_generation(
    browser: Any, cascade: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = [Says("Dogs may travel on the upper deck. [1] They", then="hang")]
    ferry = DATA / "corpus" / "documents" / "ferry-conditions.txt"
    with serve_script(endless, endless[0]) as script:
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
            kb.add(find_files([ferry]).documents)
            rag = WavRAG(kb, load_generator("openai:m"))
            with serving(rag, OPTIONS) as address, open_page(browser, address) as page:
                page.fill("#question", "Where are dogs allowed on the ferry?")
                page.keyboard.press("Enter")
                turn = page.locator(".turn")
                expect(turn.locator(".answer")).to_contain_text("They")  # it streams in
                page.click("#stop")
                expect(turn).to_have_attribute("data-state", "done")
                expect(turn.locator(".answer")).to_contain_text("Stopped.")
                assert script.gone.acquire(timeout=30)  # generation is cancelled


def test_a_file_is_uploaded_queried_and_removed(page: Any) -> None:
    page.click("#to-library")
    before = page.locator("#count").inner_text()
    text = "# The kettle\n\nThe kettle is descaled with citric acid every third Sunday.\n"
    page.set_input_files(
        "#files", [{"name": "kettle.md", "mimeType": "text/markdown", "buffer": text.encode()}]
    )
    expect(page.locator("#uploads li")).to_contain_text("added", timeout=TIMEOUT)
    expect(page.locator("#count")).to_have_text(str(int(before) + 1))
    page.fill("#filter", "kettle")
    page.get_by_role("button", name="Ask only The kettle").click()
    turn = ask_typed(page, "When is the kettle descaled?")
    expect(turn.locator(".answer")).to_contain_text("third Sunday")
    expect(turn.locator(".sources > li")).to_have_count(1)

    page.click("#to-library")
    page.get_by_role("button", name="Remove The kettle").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#match-count")).to_contain_text("No matches")


def test_files_are_dropped_and_a_rejection_shows_its_reason(page: Any) -> None:
    drop = """name => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(5000)], name));
        const options = {dataTransfer: carried, bubbles: true};
        for (const kind of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, options));
    }"""
    page.evaluate(drop, "zeros.mp3")
    expect(page.locator("#uploads .failed")).to_contain_text(
        "is not decodable audio", timeout=TIMEOUT
    )
    assert len(page.problems) == 1
    assert "415" in page.problems.pop()  # the browser logs the status


def test_the_library_is_filtered(page: Any) -> None:
    page.click("#to-library")
    rows = page.locator("#documents .document")
    everything = 12 + len(RECORDINGS)
    expect(rows).to_have_count(everything)
    page.get_by_text("Recordings", exact=True).click()
    expect(rows).to_have_count(len(RECORDINGS))
    page.fill("#filter", "bee")
    expect(rows).to_have_count(1)
    expect(page.locator("#match-count")).to_have_text("1 match")
    rows.locator(".open").click()
    page.locator("#reader-text .line").nth(1).click()
    wait_until(page, PLAYS, page.locator("#reader-player audio"))
    page.click("#reader-close")
    page.fill("#filter", "no such thing")
    expect(page.locator("#match-count")).to_contain_text("No matches")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_a_phone(browser: Any, url: str, scheme: str) -> None:
    wide = "() => document.documentElement.scrollWidth - innerWidth"
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with open_page(browser, url, reduced_motion="reduce", **options) as page:
        turn = ask_typed(page, "Which buildings in Fairhaven survived the great fire?")
        assert page.evaluate(wide) <= 0
        turn.locator(".more").click()
        assert page.evaluate(wide) <= 0
        assert page.evaluate("() => document.getAnimations().length") == 0
        ground = page.evaluate("() => getComputedStyle(document.documentElement).backgroundColor")
        dark = sum(map(int, re.findall(r"\d+", ground)[:3])) < 200
        assert dark == (scheme == "dark")
        for name in ("#talk", "#send"):
            box = page.locator(name).bounding_box()
            assert min(box["width"], box["height"]) >= 44
        page.click("#to-library")
        expect(page.locator("#documents .document").first).to_be_visible()
        assert page.evaluate(wide) <= 0


def test_an_empty_library_and_a_lost_server_show_messages(
    browser: Any, cascade: Embedder, tmp_path: Path
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as empty:
        token = "a-token-of-this-test"
        options = ServerOptions(tokens=frozenset({token}), voice="fake")
        with (
            serving(WavRAG(empty, load_generator("extractive")), options) as address,
            open_page(browser, address) as page,
        ):
            page.fill("#token-value", token)
            page.get_by_role("button", name="Continue").click()
            expect(page.locator("#welcome")).to_contain_text("Your library is empty")
            turn = ask_typed(page, "Where is the key?")
            expect(turn.locator(".answer")).to_contain_text("Your library is empty")
            events = record_events(page)
            page.click("#hands-free")
            for _ in range(TIMEOUT // 50):
                if events:
                    break
                page.wait_for_timeout(50)
            assert events[0] == {"event": "ready"}  # with the token in its first message
            page.click("#hands-free")
            page.click("#to-library")
            expect(page.locator("#documents .empty")).to_contain_text("Drop recordings")
            page.click("#to-ask")
            page.context.set_offline(True)
            turn = ask_typed(page, "Where is the key?")
            expect(turn.locator(".failed")).to_contain_text("The server does not respond")
            refusals = [text for text in page.problems if "401" in text or "DISCONNECTED" in text]
            assert refusals == page.problems  # the browser logs both
            page.problems.clear()


def test_a_denied_microphone_shows_a_message(playwright: Any, url: str) -> None:
    arguments = [*QUIET, "--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    strict = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        with open_page(strict, url) as page:
            page.locator("#talk").click()
            expect(page.locator("#alert")).to_contain_text("Access to the microphone was denied")
            expect(page.locator(".turn")).to_have_count(0)
            expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
    finally:
        strict.close()
