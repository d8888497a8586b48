import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from wavrag.demo import DATA

ROOT = Path(__file__).parent.parent


def test_the_command_line_page_is_what_help_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tools"))
    import cli_help

    assert (ROOT / "docs" / "cli.md").read_text(encoding="utf-8") == cli_help.render_page(), (
        "run tools/cli_help.py"
    )


def python_blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


def test_the_readme_has_python_to_run() -> None:
    assert python_blocks()


@pytest.mark.parametrize("number", range(len(python_blocks())))
def test_the_python_of_the_readme_runs(number: int, tmp_path: Path) -> None:
    for name in ("recordings", "documents", "questions"):
        target = DATA / name if name == "questions" else DATA / "corpus" / name
        (tmp_path / name).symlink_to(target)
    done = subprocess.run(
        [sys.executable, "-c", python_blocks()[number]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_commands_of_the_readme_parse() -> None:
    from wavrag.cli import build_parser

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [
        line
        for block in re.findall(r"```(?:bash|sh)\n(.*?)```", text, re.DOTALL)
        for line in block.splitlines()
    ]
    commands = [line.partition("#")[0] for line in lines if line.startswith("wavrag ")]
    assert commands
    for command in commands:
        build_parser().parse_args(shlex.split(command)[1:])


def test_every_relative_link_leads_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "AGENTS.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name} links to {link}"


def test_agents_page_is_short() -> None:
    assert len((ROOT / "AGENTS.md").read_text(encoding="utf-8").splitlines()) <= 80
