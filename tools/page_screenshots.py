"""Take the screenshots of the web page in docs/page.md: every view, in light and dark, and a phone.

    python tools/page_screenshots.py docs/images

Indexes the demo corpus with its speakers, serves it with a watched folder, and drives Chromium with
a microphone that hears a recorded question. Needs `wavrag[server]`, Chromium and the packages
playwright and pillow.
"""

from __future__ import annotations

import io
import queue
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from wavrag import Clip, WavRAG
from wavrag.audio import load, write_wav
from wavrag.demo import DATA
from wavrag.server import ServerOptions, serve

QUESTION = DATA / "questions" / "spare-key.opus"
DESKTOP = {"width": 1000, "height": 820}
PHONE = {"width": 390, "height": 780}
COLOURS = 128  # of a picture: enough for text and two accents, at a third of the size


def microphone_file(folder: Path) -> Path:
    """The question followed by silence, as Chromium's fake microphone takes it."""
    import numpy as np

    clip = load(QUESTION, 48_000)
    silence = np.zeros(48_000, np.float32)
    path = folder / "question.wav"
    samples = np.concatenate([silence, clip.samples, silence, silence])
    write_wav(path, Clip(samples, clip.sample_rate))
    return path


def watched_folder(folder: Path) -> Path:
    """A folder to watch, with a note and files that are not indexed."""
    watched = folder / "harbour" / "notes"
    watched.mkdir(parents=True)
    (watched / "harbour-opening-hours.md").write_text(
        "# Harbour opening hours\n\nThe harbour office is open from eight to four.\n"
    )
    (watched / "scan.tiff").write_bytes(b"II*\0")
    (watched / "letter.pdf").write_bytes(b"%PDF-1.4 damaged")
    return watched


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Index the corpus and serve it; yields the URL."""
    rag = WavRAG.open(folder / "kb")
    rag.add(DATA / "corpus", speakers=True)
    options = ServerOptions(watch_folders=(str(watched_folder(folder)),))
    urls: queue.Queue[str] = queue.Queue()
    arguments = (rag, "127.0.0.1", 0, options, urls.put)
    threading.Thread(target=serve, args=arguments, daemon=True).start()
    yield urls.get(timeout=60)


def ask(page: Page, question: str) -> None:
    """Type a question and wait for its answer."""
    page.fill("#question", question)
    page.keyboard.press("Enter")
    page.locator(".turn").last.locator(".origin").first.wait_for()


def open_tab(page: Page, name: str, tab: str, content: str) -> None:
    """Open a tab of a document in the library and wait for its content."""
    page.click("#to-library")
    page.locator(".open", has_text=name).click()
    page.click(tab)
    page.locator(content).first.wait_for()
    page.wait_for_timeout(800)


def start(page: Page) -> None:
    """Example questions and the newest files."""
    page.locator("#examples li").first.wait_for()


def listen(page: Page) -> None:
    """Passages while the user speaks."""
    page.click("#hands-free")
    page.locator(".turn[data-state=listening] .snippet").nth(2).wait_for()
    page.wait_for_timeout(900)


def spoken_answer(page: Page) -> None:
    """The answer to a spoken question, with the cited recording playing."""
    page.click("#hands-free")
    page.locator(".turn[data-state=done] .origin").first.wait_for()
    page.click("#hands-free")
    page.locator("button.cite").first.click()
    page.wait_for_timeout(2_500)  # the recording plays, so that its waveform shows a position


def written_answer(page: Page) -> None:
    """The answer to a written question."""
    ask(page, "How often should I descale the espresso machine?")


def no_answer(page: Page) -> None:
    """A question that no file answers."""
    ask(page, "Who won the world chess championship in Reykjavik?")
    page.get_by_title("Timing").click()


def transcript(page: Page) -> None:
    """The transcript of a recording, at a citation."""
    ask(page, "How do honeybees tell the distance of flowers?")
    page.get_by_role("button", name="Transcript").first.click()
    page.locator(".line.cited .word").first.wait_for()
    page.wait_for_timeout(800)


def speakers(page: Page) -> None:
    """The speakers of a recording."""
    open_tab(page, "bridge-meeting", "#tab-speakers", ".speakers > li")


def chapters(page: Page) -> None:
    """The summary and the chapters of a recording."""
    open_tab(page, "telescope-audio-guide", "#tab-chapters", ".chapters .line")


def document(page: Page) -> None:
    """A document with the cited sentence."""
    ask(page, "Where are dogs allowed on the ferry?")
    page.locator("button.cite").first.click()
    page.locator("mark.quote").first.wait_for()
    page.wait_for_timeout(500)


def library(page: Page) -> None:
    """The library with watched folders and an upload."""
    page.click("#to-library")
    page.locator("#watch summary").click()
    text = b"# Regatta\n\nThe regatta starts at noon on the second Sunday of June.\n"
    page.set_input_files(
        "#files", [{"name": "regatta.md", "mimeType": "text/markdown", "buffer": text}]
    )
    page.locator("#uploads .done").wait_for()
    page.evaluate("scrollTo(0, 0)")


# Name of the picture, its view, size and colour scheme.
PICTURES: tuple[tuple[str, Callable[[Page], None], dict[str, int], str], ...] = (
    ("start", start, DESKTOP, "light"),
    ("listening", listen, DESKTOP, "light"),
    ("answer", spoken_answer, DESKTOP, "light"),
    ("silence", no_answer, DESKTOP, "dark"),
    ("transcript", transcript, DESKTOP, "light"),
    ("speakers", speakers, DESKTOP, "dark"),
    ("chapters", chapters, DESKTOP, "light"),
    ("document", document, DESKTOP, "light"),
    ("library", library, DESKTOP, "light"),
    ("phone", written_answer, PHONE, "dark"),
    ("phone-start", start, PHONE, "light"),
)


def take_picture(
    browser: Browser, url: str, view: Callable[[Page], None], size: dict[str, int], scheme: str
) -> bytes:
    """Open a new page, show a view and return its picture, a PNG with few colours."""
    from PIL import Image

    context = browser.new_context(
        viewport=size,
        color_scheme=scheme,
        device_scale_factor=1.5,
        has_touch=size is PHONE,
        is_mobile=size is PHONE,
    )
    page = context.new_page()
    page.goto(url)
    page.locator("#welcome").wait_for()
    view(page)
    page.wait_for_timeout(300)
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").quantize(COLOURS)
    context.close()
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()


def main(target: Path, names: list[str]) -> None:
    """Index, serve, and write the pictures."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        sound = f"--use-file-for-fake-audio-capture={microphone_file(Path(folder))}%noloop"
        media = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", *media, sound]
        )
        with serving(Path(folder)) as url:
            for name, view, size, scheme in PICTURES:
                if not names or name in names:
                    data = take_picture(browser, url, view, size, scheme)
                    (target / f"page-{name}.png").write_bytes(data)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
