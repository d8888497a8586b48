"""The page in a real browser, with a microphone that hears recorded questions."""

import json
import re
import shutil
import wave
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripted_server import Says
from scripted_server import serving as saying
from serving import serving
from wavrag import KnowledgeBase, WavRAG
from wavrag.audio import load
from wavrag.demo import DATA
from wavrag.embed import Embedder
from wavrag.generate import load_generator
from wavrag.kb import find_files
from wavrag.server import ServerOptions

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium here", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

OPTIONS = ServerOptions(voice="fake")
RATE = 48_000  # Hz
RECORDINGS = ("honeybee-lecture.opus", "storm-forecast.opus")
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
ALLOWED = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
PATIENCE = 30_000  # ms in which something must appear
PLAYS, SILENT = "a => !a.paused && a.currentTime > 0", "a => a.paused"
PHONE = {"width": 375, "height": 740}
Opens = Callable[..., Any]


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
    """A recorded question of the demo, with silence around it, as the fake microphone takes it."""
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
    """A browser whose microphone hears the question about the honeybee each time it is opened."""
    heard = question(tmp_path_factory.mktemp("sound"), "bee-distance.opus")
    sound = f"--use-file-for-fake-audio-capture={heard}%noloop"
    arguments = [*QUIET, *ALLOWED, sound]
    opened = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield opened
    opened.close()


@contextmanager
def watched(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """A page that has been loaded; it may not reach out, nor complain, nor break the policy."""
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    wrong: list[str] = []
    page.on("request", lambda one: wrong.append(one.url) if not is_ours(one.url, url) else None)
    page.on("websocket", lambda one: wrong.append(one.url) if not is_ours(one.url, url) else None)
    page.on("console", lambda one: wrong.append(one.text) if one.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('policy', e.blockedURI))"
    )
    page.wrong = wrong
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not wrong


def is_ours(address: str, url: str) -> bool:
    host = url.removeprefix("http://")
    return address.startswith((f"http://{host}/", f"ws://{host}/", f"blob:http://{host}/", "data:"))


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with watched(browser, url) as opened:
        expect(opened.locator("#welcome")).to_contain_text("What would you like to know?")
        yield opened


def asked(page: Any, words: str) -> Any:
    """The turn of a typed question, when it has been answered."""
    page.fill("#question", words)
    page.keyboard.press("Enter")
    return done(page)


def done(page: Any) -> Any:
    turn = page.locator(".turn").last
    expect(turn).to_have_attribute("data-state", "done", timeout=PATIENCE)
    return turn


def told(page: Any) -> list[dict[str, Any]]:
    """A list that takes in the events of voice connections."""
    events: list[dict[str, Any]] = []

    def listen(socket: Any) -> None:
        socket.on("framereceived", lambda data: events.append(json.loads(data)))

    page.on("websocket", listen)
    return events


def until(page: Any, is_true: str, element: Any) -> None:
    """Wait for something of an element; the page's policy forbids `wait_for_function`."""
    for _ in range(PATIENCE // 50):
        if element.evaluate(is_true):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"{is_true}: it is still not so")


def seconds(text: str) -> float:
    minutes, rest = text.split(":")
    return 60 * int(minutes) + int(rest)


def check_playing(page: Any, card: Any) -> None:
    """The recording of a card plays, within the span that the card names."""
    start, end = map(seconds, card.locator(".card .location").inner_text().split("–"))
    audio = card.locator("audio")
    until(page, PLAYS, audio)
    before = audio.evaluate("a => a.currentTime")
    until(page, f"a => a.currentTime > {before} + 0.3", audio)
    at = float(card.locator(".wave").get_attribute("aria-valuenow"))
    assert start - 1 <= at <= end + 1


def test_hands_free_hits_while_one_speaks_an_answer_and_its_citation(page: Any) -> None:
    events = told(page)
    page.click("#hands-free")
    expect(page.locator("#status")).to_contain_text("Just speak")
    # Found before the turn has ended: only partial hits are shown to one who still speaks.
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    assert page.locator(".turn .hits-label").inner_text() == "Results so far"
    first = page.locator(".sources > li")
    shown = first.evaluate_all("all => all.map(one => (one.wasThere = true, one.dataset.id))")
    turn = done(page)
    names = [event["event"] for event in events]
    assert names.index("partial_hits") < names.index("turn_ended") < names.index("hits")
    assert names.count("hits") == 1
    # A passage that stays keeps its element, which so can glide to its new place.
    kept = first.evaluate_all("all => all.map(one => [one.dataset.id, !!one.wasThere])")
    assert all(was for id, was in kept if id in shown)
    assert len({id for id, _ in kept}) == len(kept)
    expect(turn.locator(".question")).to_contain_text("honeybee")
    expect(turn.locator(".answer")).to_contain_text("distance")
    latency = turn.locator(".latency").inner_text()
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


def test_push_to_talk_and_everything_else_with_the_keyboard_alone(page: Any) -> None:
    keyboard = page.keyboard
    keyboard.down(" ")
    expect(page.locator("#talk")).to_have_attribute("aria-pressed", "true")
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    expect(page.locator(".question")).to_contain_text("flowers", timeout=PATIENCE)
    keyboard.up(" ")
    turn = done(page)
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
    until(page, SILENT, card.locator("audio"))
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


def test_a_tap_on_the_microphone_stays_until_the_next(page: Any) -> None:
    page.locator("#talk").click()
    expect(page.locator("#status")).to_contain_text("Press again")
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    page.locator("#talk").click()
    done(page)
    expect(page.locator("#listening")).to_be_hidden()


def test_escape_while_one_speaks_takes_the_turn_back(page: Any) -> None:
    events = told(page)
    page.locator("#talk").click()
    page.wait_for_selector(".turn[data-state=listening] .sources > li")
    page.keyboard.press("Escape")
    expect(page.locator(".turn")).to_have_count(0)
    assert "hits" not in [event["event"] for event in events]


def test_typed_questions_with_a_passage_marked_and_a_follow_up(page: Any) -> None:
    sent: list[dict[str, Any]] = []

    def keep(request: Any) -> None:
        if request.url.endswith("/ask"):
            sent.append(json.loads(request.post_data))

    page.on("request", keep)
    turn = asked(page, "Where are dogs allowed on the ferry?")
    expect(turn.locator(".answer")).to_contain_text("open upper deck")
    assert re.match(r"Results \d+ ms after you asked", turn.locator(".latency").inner_text())
    turn.locator("button.cite").first.click()
    expect(page.locator("#reader-title")).to_contain_text("FERRY")
    expect(page.locator("#reader-text mark.quote").first).to_contain_text("upper deck")
    expect(page.locator("#reader-text mark.quote").first).to_be_in_viewport()
    page.keyboard.press("Escape")

    asked(page, "And what about bicycles?")
    assert page.locator(".turn").count() == 2  # earlier turns stay
    (said,) = sent[1]["history"]
    assert said["question"] == "Where are dogs allowed on the ferry?"
    assert "upper deck" in said["answer"]
    page.click("#new-conversation")
    expect(page.locator(".turn")).to_have_count(0)


def test_reading_aloud_and_barging_in(page: Any) -> None:
    page.click("#read-aloud")
    asked(page, "Which buildings in Fairhaven survived the great fire?")
    speaker = page.locator("#speaker")
    until(page, PLAYS, speaker)
    page.click("#stop")
    until(page, SILENT, speaker)
    expect(page.locator("#stop")).to_be_hidden()
    asked(page, "Which buildings in Fairhaven survived the great fire?")
    until(page, PLAYS, speaker)
    page.locator("#talk").click()  # whoever speaks has the word
    until(page, SILENT, speaker)
    page.keyboard.press("Escape")


def test_an_answer_is_stopped_while_it_is_written(
    browser: Any, cascade: Embedder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = [Says("Dogs may travel on the upper deck. [1] They", then="hang")]
    ferry = DATA / "corpus" / "documents" / "ferry-conditions.txt"
    with saying(endless, endless[0]) as script:
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        monkeypatch.setenv("OPENAI_BASE_URL", script.url)
        with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as kb:
            kb.add(find_files([ferry]).documents)
            rag = WavRAG(kb, load_generator("openai:m"))
            with serving(rag, OPTIONS) as address, watched(browser, address) as page:
                page.fill("#question", "Where are dogs allowed on the ferry?")
                page.keyboard.press("Enter")
                turn = page.locator(".turn")
                expect(turn.locator(".answer")).to_contain_text("They")  # it streams in
                page.click("#stop")
                expect(turn).to_have_attribute("data-state", "done")
                expect(turn.locator(".answer")).to_contain_text("Stopped.")
                assert script.gone.acquire(timeout=30)  # nobody writes for nobody


def test_a_file_is_uploaded_asked_about_and_removed(page: Any) -> None:
    page.click("#to-library")
    before = page.locator("#count").inner_text()
    text = "# The kettle\n\nThe kettle is descaled with citric acid every third Sunday.\n"
    page.set_input_files(
        "#files", [{"name": "kettle.md", "mimeType": "text/markdown", "buffer": text.encode()}]
    )
    expect(page.locator("#uploads li")).to_contain_text("added", timeout=PATIENCE)
    expect(page.locator("#count")).to_have_text(str(int(before) + 1))
    page.fill("#filter", "kettle")
    page.get_by_role("button", name="Ask only The kettle").click()
    turn = asked(page, "When is the kettle descaled?")
    expect(turn.locator(".answer")).to_contain_text("third Sunday")
    expect(turn.locator(".sources > li")).to_have_count(1)

    page.click("#to-library")
    page.get_by_role("button", name="Remove The kettle").click()
    page.get_by_role("button", name="Remove", exact=True).click()
    expect(page.locator("#match-count")).to_contain_text("No matches")


def test_files_are_dropped_and_what_cannot_be_added_says_why(page: Any) -> None:
    drop = """name => {
        const carried = new DataTransfer();
        carried.items.add(new File([new Uint8Array(5000)], name));
        const options = {dataTransfer: carried, bubbles: true};
        for (const kind of ["dragenter", "dragover", "drop"])
            document.body.dispatchEvent(new DragEvent(kind, options));
    }"""
    page.evaluate(drop, "zeros.mp3")
    expect(page.locator("#uploads .failed")).to_contain_text("cannot be indexed", timeout=PATIENCE)
    assert len(page.wrong) == 1
    assert "415" in page.wrong.pop()  # the browser notes the refusal


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
    until(page, PLAYS, page.locator("#reader-player audio"))
    page.click("#reader-close")
    page.fill("#filter", "no such thing")
    expect(page.locator("#match-count")).to_contain_text("No matches")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Any, url: str, scheme: str) -> None:
    wide = "() => document.documentElement.scrollWidth - innerWidth"
    options = {"viewport": PHONE, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    with watched(browser, url, reduced_motion="reduce", **options) as page:
        turn = asked(page, "Which buildings in Fairhaven survived the great fire?")
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


def test_nothing_there_and_no_server_are_said_in_words(
    browser: Any, cascade: Embedder, tmp_path: Path
) -> None:
    with KnowledgeBase.open(tmp_path / "kb", embedder=cascade) as empty:
        token = "a-token-of-this-test"
        options = ServerOptions(tokens=frozenset({token}), voice="fake")
        with (
            serving(WavRAG(empty, load_generator("extractive")), options) as address,
            watched(browser, address) as page,
        ):
            page.fill("#token-value", token)
            page.get_by_role("button", name="Continue").click()
            expect(page.locator("#welcome")).to_contain_text("Your library is empty")
            turn = asked(page, "Where is the key?")
            expect(turn.locator(".answer")).to_contain_text("Your library is empty")
            events = told(page)
            page.click("#hands-free")
            for _ in range(PATIENCE // 50):
                if events:
                    break
                page.wait_for_timeout(50)
            assert events[0] == {"event": "ready"}  # with the token in its first message
            page.click("#hands-free")
            page.click("#to-library")
            expect(page.locator("#documents .empty")).to_contain_text("Drop recordings")
            page.click("#to-ask")
            page.context.set_offline(True)
            turn = asked(page, "Where is the key?")
            expect(turn.locator(".failed")).to_contain_text("The server does not respond")
            refusals = [text for text in page.wrong if "401" in text or "DISCONNECTED" in text]
            assert refusals == page.wrong  # the browser notes both
            page.wrong.clear()


def test_a_refused_microphone_is_said_in_words(playwright: Any, url: str) -> None:
    arguments = [*QUIET, "--use-fake-device-for-media-stream", "--deny-permission-prompts"]
    strict = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
    try:
        with watched(strict, url) as page:
            page.locator("#talk").click()
            expect(page.locator("#alert")).to_contain_text("Access to the microphone was denied")
            expect(page.locator(".turn")).to_have_count(0)
            expect(page.locator("#talk")).to_have_attribute("aria-pressed", "false")
    finally:
        strict.close()
