"""CPU and wall time of `wavrag index`, as ratios to an earlier version of the code.

    python benchmarks/index_speed.py --baseline-tree FOLDER [--runs N] [--embedders NAME ...]
        [--inputs NAME ...]

`FOLDER` has the earlier version with its `src`. Five inputs are generated: `texts` (20 copies of
each text of the demo, most of them duplicates), `text` (one Markdown file of 300 kB), `pdf` (40
pages of prose), `audio` (a recording of four minutes) and `notes` (600 text files of 200
characters). Each is indexed into a new knowledge base by a process of its own, start-up included,
with the default embedder and with the fake one, whose time is that of everything else.

The two versions take turns, so that other programs disturb both, and the least time of the runs
counts. CPU time is that of all processes. A ratio below 1 is faster than the earlier version.
"""

from __future__ import annotations

import argparse
import random
import resource
import tempfile
import textwrap
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import corpus
from code_runs import ROOT, CodeTree

Times = tuple[float, float]  # wall and CPU seconds

AUDIO_SECONDS = 240.0
TEXT_CHARS = 300_000
PDF_PAGES = 40
PAGE_LINES = 45
NOTES = 600


def load_texts() -> list[str]:
    """The texts of the demo corpus, without PDFs."""
    paths = sorted(path for path in corpus.DOCUMENTS.iterdir() if path.suffix != ".pdf")
    return [path.read_text(encoding="utf-8") for path in paths]


def write_text(folder: Path) -> None:
    """Write one long Markdown file, in which no paragraph is repeated."""
    texts = load_texts()
    chapters, size = [], 0
    while size < TEXT_CHARS:
        number = len(chapters) + 1
        chapters.append(
            f"# Part {number}\n\n{texts[number % len(texts)]}\n\nEnd of part {number}.\n\n"
        )
        size += len(chapters[-1])
    (folder / "long.md").write_text("".join(chapters)[:TEXT_CHARS], encoding="utf-8")


def write_pdf(folder: Path) -> None:
    """Write a PDF of pages of prose, with the standard fonts of every reader."""
    words = " ".join(load_texts()).encode("ascii", "ignore").decode().split()
    lines = textwrap.wrap(" ".join(words * 20), 80)[: PDF_PAGES * PAGE_LINES]
    pages = []
    for page in range(PDF_PAGES):
        shown = lines[page * PAGE_LINES : (page + 1) * PAGE_LINES]
        escaped = (line.translate({ord(c): f"\\{c}" for c in "\\()"}) for line in shown)
        content = "".join(f"({line}) Tj T*\n" for line in escaped)
        pages.append(f"BT /F1 11 Tf 15 TL 60 760 Td\n{content}ET")
    (folder / "prose.pdf").write_bytes(corpus.build_pdf(pages))


def write_notes(folder: Path) -> None:
    """Write many small text files, no two of them equal."""
    texts, generator = load_texts(), random.Random(0)
    for number in range(NOTES):
        excerpt = generator.choice(texts)[:200]
        (folder / f"{number}.txt").write_text(f"Note {number}. {excerpt}", encoding="utf-8")


INPUTS: dict[str, Callable[[Path], None]] = {
    "texts": lambda folder: corpus.write_texts(folder, 20),
    "text": write_text,
    "pdf": write_pdf,
    "audio": lambda folder: corpus.write_long_recording(folder / "long.wav", AUDIO_SECONDS),
    "notes": write_notes,
}


def index(tree: CodeTree, folder: Path, embedder: str) -> Times:
    """Index a folder into a new knowledge base."""
    with tempfile.TemporaryDirectory() as kb:
        arguments = ["-m", "wavrag", "index", "--json", "--kb", f"{kb}/kb", str(folder)]
        if embedder != "default":
            arguments += ["--embedder", embedder]
        start, used = time.monotonic(), _used_seconds()
        tree.run(arguments)
        return time.monotonic() - start, _used_seconds() - used


def _used_seconds() -> float:
    """CPU time of the processes that have ended, and of those that they started."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def least(times: Sequence[Times]) -> Times:
    """The least wall and the least CPU time."""
    return min(wall for wall, _ in times), min(used for _, used in times)


def main() -> None:
    """Print a line for each embedder and input."""
    parser = argparse.ArgumentParser(description="Time `wavrag index` against an earlier version.")
    parser.add_argument("--baseline-tree", type=Path, metavar="FOLDER", required=True)
    parser.add_argument("--runs", type=int, default=3, help="of each version (default: 3)")
    parser.add_argument("--embedders", nargs="+", default=["default", "fake"], metavar="NAME")
    parser.add_argument("--inputs", nargs="+", default=list(INPUTS), choices=list(INPUTS))
    arguments = parser.parse_args()
    trees = (CodeTree("baseline", arguments.baseline_tree), CodeTree("present", ROOT))
    for tree in trees:
        tree.check()
    print(f"{'embedder':9} {'input':6} {'CPU s':>12} {'ratio':>6} {'wall s':>12} {'ratio':>6}")
    with tempfile.TemporaryDirectory() as root:
        for name in arguments.inputs:
            folder = Path(root) / name
            folder.mkdir()
            INPUTS[name](folder)
        for embedder in arguments.embedders:
            for name in arguments.inputs:
                times: dict[str, list[Times]] = defaultdict(list)
                for _ in range(arguments.runs):
                    for tree in trees:
                        times[tree.name].append(index(tree, Path(root) / name, embedder))
                before, after = (least(times[tree.name]) for tree in trees)
                print(
                    f"{embedder:9} {name:6} {before[1]:5.2f} {after[1]:6.2f}"
                    f" {after[1] / before[1]:6.2f} {before[0]:5.2f} {after[0]:6.2f}"
                    f" {after[0] / before[0]:6.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
