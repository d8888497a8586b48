"""Text that a terminal cannot show or would obey, arguments that are not UTF-8, and metadata."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wavrag import KnowledgeBase
from wavrag.cli import main
from wavrag.cli.output import SafeStream
from wavrag.errors import InputError

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m"
NAME = "re\x1b[31mport\nskipped: x\u202e.txt"


@pytest.fixture(scope="module")
def kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A knowledge base with a boat in Chinese and a file name with an escape sequence."""
    folder = tmp_path_factory.mktemp("output")
    docs = folder / "docs"
    docs.mkdir()
    (docs / "boat.txt").write_text("A boat is 帆船 in Chinese, and ⛵🛶 in pictures.")
    (docs / NAME).write_text("The quarterly report.")
    arguments = ["index", str(docs), "--kb", str(folder / "kb"), "--embedder", "fake"]
    assert main([*arguments, "--meta-text", f"note={HOSTILE}", "--json"]) == 0
    return folder / "kb"


def run_with_encoding(monkeypatch: pytest.MonkeyPatch, encoding: str, *arguments: str) -> str:
    # PYTHONIOENCODING makes both strict.
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding, write_through=True) for _ in range(2))
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", err)
        assert main([*arguments]) == 0
    assert err.buffer.getvalue() == b""  # type: ignore[attr-defined]
    return out.buffer.getvalue().decode(encoding)  # type: ignore[attr-defined]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_characters_that_a_terminal_lacks_are_escaped(
    kb: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    text = run_with_encoding(monkeypatch, encoding, "search", "boat", "-k", "1", "--kb", str(kb))
    boat = "帆船" if encoding == "utf-8" else r"\u5e06\u8239"
    assert f"A boat is {boat} in Chinese" in text
    printed = run_with_encoding(
        monkeypatch, encoding, "search", "boat", "-k", "1", "--kb", str(kb), "--json"
    )
    (hit,) = json.loads(printed)["hits"]
    assert hit["text"] == "A boat is 帆船 in Chinese, and ⛵🛶 in pictures."
    lines = run_with_encoding(monkeypatch, encoding, "kb", "export", "--kb", str(kb))
    passages = [json.loads(line) for line in lines.splitlines()]
    assert {hit["text"], "The quarterly report."} == {passage["text"] for passage in passages}
    assert all(passage["metadata"]["note"] == HOSTILE for passage in passages)


def test_escape_sequences_are_never_printed(kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["search", "quarterly report"],
        ["search", "quarterly report", "--json"],
        ["ask", "quarterly report"],
        ["kb", "list"],
        ["kb", "list", "--json"],
        ["kb", "export"],
    ):
        assert main([*command, "--kb", str(kb)]) == 0
        captured = capsys.readouterr()
        assert not set("\x1b\x07\x9b\u202e") & set(captured.out + captured.err)
        assert r"re\u001b[31mport" in captured.out
        # The line feed of the name starts no line that looks like a message.
        assert "\nskipped" not in captured.out
    missing = str(kb / f"no{HOSTILE}")
    assert main(["index", missing, "--kb", str(kb)]) == 1
    error = capsys.readouterr().err
    assert r"no\u001b]0;owned\u0007\u001b[2J\u009b31m: no such file" in error


def test_progress_bars_move_the_cursor_and_nothing_else_does() -> None:
    out, err = io.StringIO(), io.StringIO()
    SafeStream(err, has_bars=True).write("\r\x1b[Abar \x1b[2J\r")
    assert err.getvalue() == "\r\x1b[Abar " + r"\u001b[2J\u000d"
    SafeStream(out).writelines(["\r\x1b[A", "two\n", "\tlines\n"])
    assert out.getvalue() == r"\u000d\u001b[A" + "two\n\tlines\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [b"search", b"descale caf\xe9"],
        [b"ask", b"descale", b"caf\xe9"],
        [b"search", b"x", b"--where", b"speaker = 'Ren\xe9'"],
        [b"index", b".", b"--meta", b"speaker=Ren\xe9"],
        [b"kb", b"remove", b"caf\xe9"],
        [b"caf\xe9"],
        [b"search", b"x", b"--kb=caf\xe9"],
    ],
)  # fmt: skip
def test_arguments_that_are_not_utf_8_are_named(
    capsys: pytest.CaptureFixture[str], arguments: list[bytes]
) -> None:
    assert main([os.fsdecode(argument) for argument in arguments]) == 2
    error = capsys.readouterr().err
    assert r"\xe9" in error
    assert "is not valid UTF-8: convert it" in error


def test_a_process_with_invalid_bytes_and_a_small_encoding_has_no_traceback(kb: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "cp1252"}
    command = [sys.executable, "-m", "wavrag", "search", b"descale caf\xe9", "--kb", str(kb)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"wavrag: the argument 'descale caf\\xe9' is not valid UTF-8")


def test_a_file_whose_name_is_not_utf_8_is_named(
    kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"caf\xe9.txt")
    try:
        with open(path, "w") as file:
            file.write("A text.")
    except OSError:
        pytest.skip("this file system refuses such names")
    assert main(["index", os.fsdecode(path), "--kb", str(kb)]) == 1
    assert "its name is not valid UTF-8: rename it" in capsys.readouterr().err


def test_a_query_with_lone_surrogates_is_an_input_error(kb: Path) -> None:
    with KnowledgeBase.open(kb) as opened, pytest.raises(InputError, match="not valid Unicode"):
        opened.search("descale caf\udce9")


@pytest.mark.parametrize(
    ("option", "value", "stored"),
    [
        ("--meta", "007", "007"),
        ("--meta", "2020", 2020),
        ("--meta", "-3", -3),
        ("--meta", "0", 0),
        ("--meta", "0.5", 0.5),
        ("--meta", "-0", "-0"),
        ("--meta", "1.10", "1.10"),
        ("--meta", "1e5", "1e5"),
        ("--meta", "+49", "+49"),
        ("--meta", "1_000", "1_000"),
        ("--meta", "٣", "٣"),
        ("--meta", " 5", " 5"),
        ("--meta", "99999999999999999999", "99999999999999999999"),
        ("--meta", "", ""),
        ("--meta", "a=b", "a=b"),
        ("--meta", "true", True),
        ("--meta", "True", "True"),
        ("--meta-text", "2020", "2020"),
        ("--meta-text", "true", "true"),
        ("--meta-text", "nan", "nan"),
        ("--meta-number", "007", 7),
        ("--meta-number", "1e5", 100_000.0),
    ],
)
def test_metadata_keeps_its_text_unless_it_is_a_plain_number(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, stored: Any
) -> None:
    (tmp_path / "a.txt").write_text("A text.")
    kb = ["--kb", str(tmp_path / "kb")]
    arguments = ["index", str(tmp_path / "a.txt"), *kb, "--embedder", "fake"]
    assert main([*arguments, option, f"case={value}"]) == 0
    capsys.readouterr()
    assert main(["kb", "list", *kb, "--json"]) == 0
    (document,) = json.loads(capsys.readouterr().out)
    assert document["metadata"] == {"case": stored}
    assert type(document["metadata"]["case"]) is type(stored)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--meta", "score=nan"], "'score=nan' is not a number that can be stored"),
        (["--meta", "score=-inf"], "--meta-text"),
        (["--meta-number", "score=nan"], "'score=nan' is not a finite number"),
        (["--meta-number", "score=1e999"], "not a finite number"),
        (["--meta-number", "score=99999999999999999999"], "of 64 bits"),
        (["--meta-number", "score=many"], "not a finite number"),
        (["--meta-text", "score"], "--meta-text 'score' is not KEY=VALUE"),
        (["--meta", "score=1", "--meta-text", "score=1"], "given twice"),
    ],
)
def test_metadata_that_cannot_be_stored_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    kb = tmp_path / "kb"
    assert main(["index", str(tmp_path), "--kb", str(kb), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not kb.exists()
