"""Take the screenshot of the web page: a spoken question, its answer, and the cited recording.

    python tools/page_screenshots.py docs/images/page-answer.png

Indexes the demo corpus, serves it, and drives Chromium with a microphone that hears a recorded
question. Needs `wavrag[server]`, Chromium and the package playwright.
"""

from __future__ import annotations

import shutil
import socket
import sys
import tempfile
import threading
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from wavrag import Clip, WavRAG
from wavrag.audio import load, write_wav
from wavrag.demo import DATA
from wavrag.server import ServerOptions, serve

QUESTION = DATA / "questions" / "spare-key.opus"
SIZE = {"width": 1000, "height": 860}


def microphone_file(folder: Path) -> Path:
    """The question followed by silence, as Chromium's fake microphone takes it."""
    import numpy as np

    clip = load(QUESTION, 48_000)
    silence = np.zeros(48_000, np.float32)
    path = folder / "question.wav"
    samples = np.concatenate([silence, clip.samples, silence, silence])
    write_wav(path, Clip(samples, clip.sample_rate))
    return path


def hold_conversation(page: Page) -> None:
    """Ask one typed and one spoken question, and play the citation of the second."""
    page.fill("#question", "How often should I descale the espresso machine?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn[data-state=done]")
    page.click("#hands-free")
    page.wait_for_selector(".turn[data-state=done] >> nth=1", timeout=60_000)
    page.click("#hands-free")
    page.locator(".turn").last.locator("button.cite").first.click()
    page.wait_for_timeout(2_500)  # the recording plays, so that its waveform shows a position


def main(target: str) -> None:
    """Index, serve, ask, and write the picture."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        rag = WavRAG.open(Path(folder) / "kb")
        rag.add(DATA / "corpus")
        ready = threading.Event()
        threading.Thread(
            target=serve,
            args=(rag, "127.0.0.1", port, ServerOptions(), lambda _: ready.set()),
            daemon=True,
        ).start()
        ready.wait(60)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=[
                "--no-sandbox",
                "--use-fake-ui-for-media-stream",
                "--use-fake-device-for-media-stream",
                f"--use-file-for-fake-audio-capture={microphone_file(Path(folder))}%noloop",
            ],
        )
        page = browser.new_page(viewport=SIZE, device_scale_factor=1.5)
        page.goto(f"http://127.0.0.1:{port}/")
        hold_conversation(page)
        page.screenshot(path=target)
        browser.close()


if __name__ == "__main__":
    main(sys.argv[1])
