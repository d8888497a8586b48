"""The documentation is true: its commands parse, its links lead somewhere, its Python runs.

Every ```python block of the README and of docs/ is executed, the blocks of a page in one namespace
and in a folder that holds the knowledge base `my-kb` of the demo corpus. A block that cannot run
here follows a comment that says why: `<!-- needs: a GPU -->`, or `a key`, `a service`, `data`.
"""

import pkgutil
import re
import shlex
import shutil
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"(?:<!-- needs: (?P<needs>[^>]+) -->\n+)?```python\n(?P<code>.*?)```", re.DOTALL
)


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[tuple[int, str]]:
    """The first line and the code of each block that runs here."""
    text = page.read_text(encoding="utf-8")
    for match in BLOCK.finditer(text):
        if match["needs"] is None:
            yield text.count("\n", 0, match.start("code")) + 1, match["code"]


@pytest.mark.parametrize("page", [page for page in PAGES if any(blocks(page))], ids=name_of)
def test_the_python_of_a_page_runs(
    page: Path, demo_kb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(demo_kb, tmp_path / "my-kb")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": page.stem}
    for line, code in blocks(page):
        # Empty lines in front make line numbers of errors those of the page.
        script = compile("\n" * (line - 1) + code, name_of(page), "exec")
        try:
            exec(script, names)
        except Exception as error:  # noqa: BLE001
            tail = "".join(traceback.format_exception(error)[-4:])
            pytest.fail(f"the block at {name_of(page)}:{line} fails:\n{tail}", pytrace=False)


def test_the_readme_has_python_to_run() -> None:
    assert any(blocks(ROOT / "README.md"))


def test_reasons_not_to_run_a_block_are_known() -> None:
    for page in PAGES:
        for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
            if match["needs"] is not None:
                assert re.match(r"(a GPU|a key|a service|data)\b", match["needs"]), name_of(page)


def test_generated_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import cli_help
    import live_protocol

    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_help.render_page(), (
        "run tools/cli_help.py"
    )
    assert (ROOT / "docs" / "live-protocol.md").read_text(
        encoding="utf-8"
    ) == live_protocol.render_page(), "run tools/live_protocol.py"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_the_commands_of_a_page_parse(page: Path) -> None:
    from wavrag.cli import build_parser

    text = page.read_text(encoding="utf-8")
    scripts = "".join(re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL))
    for line in scripts.replace("\\\n", " ").splitlines():
        if line.startswith("wavrag "):
            build_parser().parse_args(shlex.split(line, comments=True)[1:])


def test_every_relative_link_leads_somewhere() -> None:
    pages = [*PAGES, *(ROOT / name for name in ("AGENTS.md", "CONTRIBUTING.md", "SECURITY.md"))]
    for page in pages:
        for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{name_of(page)} links to {link}"


def test_the_explanation_shows_the_rooms_as_import_linter_checks_them() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    layers = settings["tool"]["importlinter"]["contracts"][0]["layers"]
    text = (ROOT / "docs" / "explanation.md").read_text(encoding="utf-8")
    ladder = re.search(r"^(cli .*?)```", text, re.DOTALL | re.MULTILINE)
    assert ladder
    lines = ladder[1].splitlines()
    assert len(lines) == len(layers)
    for line, layer in zip(lines, layers, strict=True):
        assert line.startswith(layer), f"{line!r} is not {layer!r}"


def test_the_names_in_the_api_reference_exist() -> None:
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        for name in re.findall(r"^::: (\S+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            pkgutil.resolve_name(name)


@pytest.mark.parametrize("page", ["docs/explanation.md", "AGENTS.md", "docs/guide.md"])
def test_the_modules_that_a_page_names_exist(page: str) -> None:
    for path in re.findall(r"`(\w+/[\w/]+\.py)`", (ROOT / page).read_text(encoding="utf-8")):
        assert any((folder / path).is_file() for folder in (ROOT / "src/wavrag", ROOT)), path


def test_agents_page_is_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 100
