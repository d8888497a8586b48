"""The picker of collections on the page, in a real browser."""

from pathlib import Path

from browser import CHROMIUM, QUIET, expect, open_page, sync_api
from serving import FERRY, serving
from wavrag import Document, KnowledgeBase
from wavrag.embed import FakeEmbedder
from wavrag.generate import FakeGenerator
from wavrag.server import CollectionFolder


def test_collections_are_chosen_created_and_deleted(tmp_path: Path) -> None:
    for name in ("notes", "talks"):
        with KnowledgeBase.open(tmp_path / name, embedder="fake") as kb:
            kb.add([Document(f"of {name}", text=FERRY, title=f"Ferry {name}")])
    with (
        CollectionFolder(tmp_path, FakeGenerator(), embedder=FakeEmbedder()) as folder,
        serving(folder) as url,
        sync_api.sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET)) as browser,
        open_page(browser, url) as page,
    ):
        page.click("#to-library")
        titles = page.locator("#library .document .title")
        expect(titles).to_have_text(["Ferry notes"])
        page.select_option("#collection", "talks")
        expect(titles).to_have_text(["Ferry talks"])
        page.click("#new-collection")
        page.fill("#collection-name", "new")
        page.click("#name-collection .primary")
        expect(page.locator("#library .empty")).to_be_visible()
        assert page.locator("#collection option").all_inner_texts() == ["new", "notes", "talks"]
        assert page.input_value("#collection") == "new"
        page.click("#delete-collection")
        page.click("#confirm .danger")
        expect(titles).to_have_text(["Ferry notes"])
    assert not (tmp_path / "new").exists()
