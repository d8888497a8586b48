"""Render the Mermaid blocks of docs/ to images: the site then needs no script from another host.

    npm pack mermaid@11 && tar xzf mermaid-11*.tgz package/dist/mermaid.min.js
    python tools/render_diagrams.py package/dist/mermaid.min.js

Needs Chromium and the package playwright. Images of blocks that no page has any more are deleted.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from docs_site import DIAGRAMS, MERMAID, ROOT, diagram_name
from playwright.sync_api import sync_playwright

CONFIG = {
    "startOnLoad": False,
    "theme": "neutral",
    "fontFamily": "system-ui, sans-serif",
    "htmlLabels": False,  # an image cannot show HTML reliably
    "sequence": {"mirrorActors": False, "width": 110, "actorMargin": 30, "messageMargin": 26},
}


def main(script: str) -> None:
    """Render each block whose image is missing."""
    folder = ROOT / "docs" / DIAGRAMS
    folder.mkdir(parents=True, exist_ok=True)
    blocks = [
        block
        for page in sorted((ROOT / "docs").rglob("*.md"))
        for block in MERMAID.findall(page.read_text(encoding="utf-8"))
    ]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page()
        page.set_content("<!doctype html><body></body>")
        page.add_script_tag(path=script)
        page.evaluate("config => mermaid.initialize(config)", CONFIG)
        for block in blocks:
            target = folder / diagram_name(block)
            if target.exists():
                continue
            svg = page.evaluate("async text => (await mermaid.render('diagram', text)).svg", block)
            target.write_text(svg + "\n", encoding="utf-8")
            print(f"wrote {target.relative_to(ROOT)}")
        browser.close()
    wanted = {diagram_name(block) for block in blocks}
    for path in folder.glob("*.svg"):
        if path.name not in wanted:
            path.unlink()


if __name__ == "__main__":
    main(str(Path(sys.argv[1])))
