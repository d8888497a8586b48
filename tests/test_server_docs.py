"""The examples of docs/server.md and docs/live-protocol.md, run against a server."""

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from audio_files import tone, write
from serving import create_rag, serving
from wavrag.cli import build_parser

DOCS = Path(__file__).parent.parent / "docs"
PAGE = "".join(
    (DOCS / name).read_text(encoding="utf-8") for name in ("server.md", "live-protocol.md")
)
ADDRESS = "http://127.0.0.1:8321"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with create_rag(tmp_path_factory.mktemp("rag")) as rag, serving(rag) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "notes.md").write_text("# Notes\n\nThe late ferry leaves at ten.\n")
    write(tmp_path / "question.wav", tone(440, 1, 16_000)[None], 16_000)
    return tmp_path


def test_the_commands_parse() -> None:
    commands = [line.partition("#")[0] for line in "".join(blocks("bash")).splitlines()]
    assert commands
    for command in commands:
        if not command.startswith("export "):
            build_parser().parse_args(shlex.split(command)[1:])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("number", range(len(blocks("sh"))))
def test_curl(url: str, folder: Path, number: int) -> None:
    script = blocks("sh")[number].replace("curl -s", "curl --fail-with-body --noproxy '*' -s")
    process = subprocess.run(
        ["sh", "-e", "-c", script.replace(ADDRESS, url)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stdout + process.stderr
    assert '"id"' in process.stdout or '"hits"' in process.stdout


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_python(url: str, folder: Path, number: int) -> None:
    code = blocks("python")[number].replace(ADDRESS, url)
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
    assert "The ferry leaves at nine in the morning. [1]" in process.stdout
