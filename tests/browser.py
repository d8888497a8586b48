"""A page of the server in headless Chromium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("there is no chromium here", allow_module_level=True)
sync_api = pytest.importorskip("playwright.sync_api")
expect = sync_api.expect

QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
TIMEOUT = 30_000  # ms
expect.set_options(timeout=TIMEOUT)  # the default of 5 s is short for a busy machine


@contextmanager
def open_page(browser: Any, url: str, **options: Any) -> Iterator[Any]:
    """Open a page; it must not contact other hosts, log errors or violate the policy."""
    context = browser.new_context(**options)
    context.set_default_timeout(TIMEOUT)
    page = context.new_page()
    problems: list[str] = []
    page.on(
        "request",
        lambda request: problems.append(request.url) if not is_local(request.url, url) else None,
    )
    page.on(
        "websocket",
        lambda request: problems.append(request.url) if not is_local(request.url, url) else None,
    )
    page.on(
        "console",
        lambda message: problems.append(message.text) if message.type == "error" else None,
    )
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.add_init_script(
        "addEventListener('securitypolicyviolation', e => console.error('policy', e.blockedURI))"
    )
    page.problems = problems
    try:
        page.goto(url)
        yield page
    finally:
        context.close()
    assert not problems


def is_local(address: str, url: str) -> bool:
    host = url.removeprefix("http://")
    return address.startswith((f"http://{host}/", f"ws://{host}/", f"blob:http://{host}/", "data:"))


def ask_typed(page: Any, words: str) -> Any:
    """Ask a typed question and wait for its answer."""
    page.fill("#question", words)
    page.keyboard.press("Enter")
    return finished_turn(page)


def finished_turn(page: Any) -> Any:
    turn = page.locator(".turn").last
    expect(turn).to_have_attribute("data-state", "done", timeout=TIMEOUT)
    return turn
