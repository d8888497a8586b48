"""Hostile files: expressions in linear time, limits of formats, errors of parsers."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
import string
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import wavrag.text
from audio_files import write
from wavrag import audio, text, where
from wavrag.audio import tags
from wavrag.cli import main
from wavrag.errors import AudioError, DocumentError
from wavrag.text.document import Block
from wavrag.text.parser_messages import LENGTH_BYTES, decode_message, encode_message, encode_piece
from wavrag.text.parser_pool import ParserPool

LENGTH = 100_000
UNITS = [*string.punctuation, " ", "\n", "a", "0", "[[a", "<a ", "<v ", "**a ", "--> ", "From a",
         ">From ", ":a:`", "a: ", "a | b ", "a\n", "0.\n", "|\n"]  # fmt: skip


def find_patterns(module: ModuleType) -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every expression of a module, also in tuples, with the name of its variable."""
    for name, value in vars(module).items():
        values = [value]
        while values:
            member = values.pop()
            if isinstance(member, re.Pattern):
                yield name, member
            elif isinstance(member, tuple):
                values += member


def run_expressions() -> None:
    """Apply every expression to 100,000 characters of each unit, in the way the code does."""
    names = [module.name for module in pkgutil.iter_modules(wavrag.text.__path__)]
    modules = [importlib.import_module(f"wavrag.text.{name}") for name in names]
    for module in [*modules, where, tags, importlib.import_module("wavrag.web.feeds")]:
        source = inspect.getsource(module)
        for name, pattern in find_patterns(module):
            is_searched = re.search(rf"\b{name}\.(?:sub|search|find|split)", source)
            for unit in UNITS:
                subject = (unit * LENGTH)[:LENGTH] + "\0"
                if isinstance(pattern.pattern, bytes):
                    subject = subject.encode()
                pattern.fullmatch(subject)
                if is_searched or name.endswith("INLINE"):
                    for _ in pattern.finditer(subject):
                        pass


@pytest.mark.skipif(sys.platform == "win32", reason="`RLIMIT_CPU` is one of POSIX")
def test_every_expression_is_linear() -> None:
    # Quadratic ones would take hours; the limit only ends the process.
    code = (
        "import resource; resource.setrlimit(resource.RLIMIT_CPU, (60, 60));"
        "import test_hostile_files; test_hostile_files.run_expressions()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, check=True)


def test_links_and_headings_keep_their_words(tmp_path: Path) -> None:
    (tmp_path / "a.org").write_text("* TODO Fares of ferries   :tag:\nSee [[x][the table]].\n")
    (tmp_path / "a.rst").write_text("See :ref:`the fares <fares>` and `a table <t.html>`_.\n")
    assert text.read(tmp_path / "a.org").text == "Fares of ferries\n\nSee the table."
    assert text.read(tmp_path / "a.rst").text == "See the fares and a table."


@pytest.mark.parametrize(
    ("channels", "rate", "reason"),
    [(100, 8_000, "has 100 channels, and at most 64"), (1, 1 << 30, "rate of 1,073,741,824 Hz")],
)
def test_recordings_beyond_the_limits_are_refused(
    tmp_path: Path, channels: int, rate: int, reason: str
) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(np.zeros((800, channels), np.int16).tobytes())
    for read in (audio.inspect_recording, audio.load):
        with pytest.raises(AudioError, match=reason):
            read(tmp_path / "a.wav")


def test_a_few_bytes_do_not_decode_to_hours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("wavrag.audio.decode.FREE_SECONDS", 1.0)
    monkeypatch.setattr("wavrag.audio.decode.LEAST_RATE", 600)
    path = write(tmp_path / "silence.flac", np.zeros((1, 60 * 16_000), np.float32), 16_000)
    command = ["index", str(path), "--kb", str(tmp_path / "kb"), "--embedder", "fake"]
    assert main(command) == 1
    message = " ".join(capsys.readouterr().err.split())
    assert "silence.flac: decodes to more than 0:31" in message
    assert "`wavrag index --max-hours`" in message
    assert main([*command, "--max-hours", "0.1"]) == 0


def test_any_exception_of_a_parser_refuses_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setitem(importlib.import_module("wavrag.text.parsers")._PARSERS, "rst", fail)
    (tmp_path / "a.rst").write_text("words")
    with pytest.raises(DocumentError, match=r"a\.rst: cannot be parsed \(IndexError: list"):
        text.read(tmp_path / "a.rst")


LONG = "tide " * 40_000  # 200 kB


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.md", f"# {LONG}\n\n" + "One bell.\n\n# Two\n\n" * 400),
        ("b.md", f"# Bells\n\n## {LONG}\n\n" + ("One bell. " * 60 + "\n\n") * 200),
        ("a.html", f"<title>{LONG}</title>" + "<h2>Bells</h2><p>One bell.</p>" * 400),
        ("a.csv", f"route,{LONG}\n" + "ferry,nine\n" * 400),
        ("a.json", json.dumps([{LONG: {str(n): "ferry" for n in range(400)}}])),
        ("b.json", json.dumps([{"start": n, "end": n + 1, "text": "One bell.", "speaker": LONG}
                               for n in range(3)])),
        ("a.org", "".join(f"{'*' * n} {'bell ' * 40}\n" for n in range(1, 99)) + "One bell.\n"),
    ],
)  # fmt: skip
def test_long_titles_and_headings_are_not_copied_into_every_passage(
    tmp_path: Path, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    parsed = text.read(tmp_path / name)
    passages = text.split(parsed)
    copies = [len(parsed.title) + len(p.section) + len(p.speaker or "") for p in passages]
    assert max(copies) <= 1_400
    words = sum(len(passage.text or "") for passage in passages)
    assert words < 1.5 * len(content) + 100_000
    if name in ("a.md", "a.html", "a.csv"):
        assert any("tide tide tide" in (passage.text or "") for passage in passages)


@pytest.fixture
def pool(monkeypatch: pytest.MonkeyPatch) -> Iterator[ParserPool]:
    """A pool whose processes have a parser of hostile files, `a.rst`."""
    program = (
        "import sys; sys.path[:] = sys.argv[1:]; import hostile_parser; hostile_parser.serve()"
    )
    monkeypatch.setattr("wavrag.text.parser_pool.PROGRAM", program)
    monkeypatch.setattr("wavrag.text.parser_pool.ENVIRONMENT", ("PATH",))
    pool = ParserPool()
    yield pool
    pool.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit memory")
def test_hostile_parsers_end_their_process_only(
    tmp_path: Path, pool: ParserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def read(content: str) -> str:
        (tmp_path / "a.rst").write_text(content)
        pieces = pool.read(str(tmp_path / "a.rst"), "a.rst", len(content), lambda note: None)
        return "".join(piece.text for piece in pieces)

    monkeypatch.setenv("API_KEY", "secret")
    assert read("print").startswith("print")
    assert "API_KEY" not in read("environment")
    (process,) = pool._idle
    process._process.terminate()  # as a service manager does, before the document is stored
    assert read("words") == "words"
    assert pool._idle == [process]
    for content, reason in [
        ("crash", r"a\.rst: made its parser crash or run out of memory \(exit code -11\)"),
        ("allocate", r"a\.rst: needs too much memory for its size"),
        ("write", r"a\.rst: would give more than 64 MB of text"),
        ("garble", r"a\.rst: made its parser send an unreadable message"),
    ]:
        with pytest.raises(DocumentError, match=reason):
            read(content)
        assert read("words") == "words"


BLOCK: list[Any] = [0, 5, "paragraph", 0, None, [0.0, 1], "Ada"]
PIECE: dict[str, Any] = {
    "title": "T",
    "text": "words",
    "blocks": [BLOCK],
    "metadata": {"n": 1},
    "offset": 0,
}


def test_every_field_of_a_parser_message_is_checked() -> None:
    piece = text.ParsedText(
        "T", "words", (Block(2, 7, "list", 1, 3, (0.5, 2.0), "Bo"),), {"a": "b"}, offset=2
    )
    data = encode_message("piece", encode_piece(piece))[LENGTH_BYTES:]
    assert decode_message(data) == ("piece", piece, False)
    assert decode_message(json.dumps(["piece", PIECE]).encode())[1].blocks[0].speaker == "Ada"
    odd = [None, True, -1, 1.5, float("nan"), "x", [], ["x", 1], {}, {"x": []}, [float("inf"), 0]]
    valid = {"title": ["x"], "text": [], "blocks": [[]], "metadata": [{}], "offset": []}
    pieces = [PIECE | {key: value} for key in PIECE for value in odd if value not in valid[key]]
    for position, values in enumerate([[], [], [], [], [None], [None], [None, "x"]]):
        variants = [[*BLOCK[:position], value, *BLOCK[position + 1 :]] for value in odd]
        pieces += [
            PIECE | {"blocks": [block]} for block in variants if block[position] not in values
        ]
    pieces += [PIECE | {"extra": 1}, PIECE | {"blocks": [BLOCK[:-1]]}]
    pieces += [PIECE | {"blocks": [[start, end, *BLOCK[2:]]]} for start, end in ((0, 6), (3, 2))]
    messages: list[Any] = [["piece", piece] for piece in pieces]
    messages += [["alive", 1], ["end", ["note"]], ["end", {"content": [1], "is_last": True}], "end"]
    messages += [["end", {"content": [], "is_last": 0}], ["error", {"content": 1, "is_last": True}]]
    messages += [["other", None], None, {}, ["piece"], ["piece", PIECE, 1]]
    for message in messages:
        with pytest.raises(ValueError, match="unknown form"):
            decode_message(json.dumps(message).encode())
    for data in (b"", b"{", b"[" * 100_000, b"\xff", b"9" * 5_000):
        with pytest.raises((ValueError, RecursionError)):
            decode_message(data)


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of computing time")
def test_a_document_that_computes_for_ever_is_refused(
    tmp_path: Path, pool: ParserPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wavrag.text.parser_pool.wall_seconds", lambda size: 2.0)
    (tmp_path / "a.rst").write_text("compute")
    with pytest.raises(DocumentError, match="takes longer than 10 s to parse"):
        next(pool.read(str(tmp_path / "a.rst"), "a.rst", 7, lambda note: None))


def test_links_out_of_a_folder_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, other = tmp_path / "notes", tmp_path / "other"
    for path in (folder, other):
        path.mkdir()
    (other / "a.txt").write_text("One bell.\n")
    (folder / "b.txt").write_text("Two bells.\n")
    (folder / "inside.txt").symlink_to(folder / "b.txt")
    (folder / "outside.txt").symlink_to(other / "a.txt")
    (folder / "more").symlink_to(other)
    command = ["index", str(folder), "--kb", str(tmp_path / "kb"), "--embedder", "fake", "--json"]
    assert main(command) == 0
    notes = {note["source"]: note["note"] for note in json.loads(capsys.readouterr().out)["notes"]}
    assert {Path(source).name for source in notes} == {"outside.txt", "more"}
    assert notes[str(folder / "more")].endswith(f"was followed to {other}")
