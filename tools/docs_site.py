"""Hooks of the documentation site: links that leave docs/, diagrams, and pages kept elsewhere.

Markdown pages are also read on the site that hosts the repository, so they link to source files
and hold Mermaid blocks. Here such links and blocks become something that the built site can show
without another host.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parent.parent
DIAGRAMS = "images/diagrams"
# Files outside docs/ that are pages of the site.
PAGES = {
    "CHANGELOG.md": "project/changelog.md",
    "CONTRIBUTING.md": "project/contributing.md",
    "SECURITY.md": "project/security.md",
    "src/wavrag/audio/weights/README.md": "project/vad.md",
    "src/wavrag/embed/weights/minilm/README.md": "project/minilm.md",
    "src/wavrag/embed/weights/moonshine/README.md": "project/moonshine.md",
    "src/wavrag/embed/weights/reader/README.md": "project/reader.md",
    "src/wavrag/embed/weights/wavretriever/README.md": "project/wavretriever.md",
}
MERMAID = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
_LINK = re.compile(r"\[([^\]]+)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")
_CODE = re.compile(r"^(```.*?^```|~~~.*?^~~~)", re.DOTALL | re.MULTILINE)


def diagram_name(source: str) -> str:
    """The file of a diagram, named by the hash of its Mermaid source."""
    return f"{hashlib.sha256(source.strip().encode()).hexdigest()[:12]}.svg"


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Add the pages that are kept outside docs/."""
    for path, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Show diagrams as prepared images, and mend links that leave docs/."""
    address = page.file.src_uri
    sources = {target: path for path, target in PAGES.items()}
    # Where links of the page start from, below the repository's root.
    folder = posixpath.dirname(sources.get(address, f"docs/{address}"))

    def show_diagram(match: re.Match[str]) -> str:
        name = diagram_name(match[1])
        if not (ROOT / "docs" / DIAGRAMS / name).is_file():
            raise PluginError(f"{address}: a diagram has changed: run tools/render_diagrams.py")
        image = posixpath.relpath(f"{DIAGRAMS}/{name}", posixpath.dirname(address) or ".")
        title = re.search(r"accTitle: *(.+)", match[1])
        return f"![{title[1] if title else 'Diagram'}]({image}){{.diagram}}"

    def mend_link(match: re.Match[str]) -> str:
        label, link, anchor = match[1], match[2], match[3] or ""
        path = posixpath.normpath(posixpath.join(folder, link))
        target = PAGES.get(path, path.removeprefix("docs/") if path.startswith("docs/") else None)
        if target is None:  # a source file: its name is all that the site can offer
            return label
        return f"[{label}]({posixpath.relpath(target, posixpath.dirname(address) or '.')}{anchor})"

    pieces = _CODE.split(MERMAID.sub(show_diagram, markdown))
    pieces[::2] = [_LINK.sub(mend_link, piece) for piece in pieces[::2]]
    return "".join(pieces)
