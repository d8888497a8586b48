"""The command line with the real embedder and store; in a process of its own where that matters."""

import json
import os
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pypdf import PdfWriter

from audio_files import tone, write
from wavrag import KnowledgeBase
from wavrag.cli import CommandParser, build_parser, main
from wavrag.cli.progress import IndexBar
from wavrag.demo import DATA
from wavrag.generate import FakeGenerator
from wavrag.kb import Progress

WAVRAG = [sys.executable, "-m", "wavrag"]
RATE = 16_000


@pytest.fixture(scope="module")
def demo_kb(demo_kb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowledge base of the demo; its documents in Markdown have metadata."""
    folder = tmp_path_factory.mktemp("demo") / "kb"
    shutil.copytree(demo_kb, folder)
    documents = map(str, (DATA / "corpus" / "documents").glob("*.md"))
    assert main(["index", "--kb", str(folder), *documents, "--meta", "set=demo"]) == 0
    return folder


def run(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*WAVRAG, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        **options,
    )


def spoken_questions() -> list[dict[str, Any]]:
    questions = json.loads((DATA / "questions" / "questions.json").read_text())
    spoken: list[dict[str, Any]] = questions["spoken"]
    return spoken


def out_json(capsys: pytest.CaptureFixture[str]) -> Any:
    captured = capsys.readouterr()
    assert captured.err == ""
    return json.loads(captured.out)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--version"], ["--help"], ["index", "--help"], ["kb", "export", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 0
    assert "usage: wavrag" in capsys.readouterr().out


def list_parsers(parser: CommandParser) -> list[CommandParser]:
    return [parser, *(p for sub in parser.subparsers() for p in list_parsers(sub))]


@pytest.mark.parametrize("parser", list_parsers(build_parser()), ids=lambda parser: parser.prog)
def test_help_ends_with_examples_that_parse(parser: CommandParser) -> None:
    _, _, text = parser.format_help().rpartition("examples:\n")
    examples = [shlex.split(line.partition(" > ")[0]) for line in text.splitlines()]
    assert 2 <= len(examples) <= 6
    for program, *arguments in examples:
        assert program == "wavrag"
        called = build_parser().parse_args(arguments).prog
        assert called.startswith(parser.prog)


@pytest.mark.parametrize("command", [[], ["kb"], ["eval"], ["train"]])
def test_a_bare_group_prints_its_help(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"usage: {' '.join(['wavrag', *command])} ")
    assert captured.err == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serch", "x"], "wavrag: there is no command serch: did you mean search?\nSee `wavrag -"),
        (["kb", "infos"], "wavrag kb: there is no command infos: did you mean info?"),
        (["eval", "compre", "a", "b"], "there is no command compre: did you mean compare?"),
        (["train", "minni"], "wavrag train: there is no command minni: did you mean mini?"),
        (["zzz"], "wavrag: there is no command zzz\n"),
        (["ask", "--generater", "local"], "no option --generater: did you mean --generator?"),
        (["mine", "a.jsonl", "--otu=b.jsonl"], "no option --otu: did you mean --out?"),
        (["doctor", "now"], "wavrag doctor: unexpected arguments: now"),
        (["index"], "wavrag index: the following arguments are required: PATH"),
        (
            ["train", "mini", "--data", "d", "--work", "w", "--rates", "1", "0", "-1"],
            "-1 is not a number of at least 0",
        ),
    ],
)
def test_a_mistyped_word_gets_a_suggestion(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_a_task_folder_may_be_called_like_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "compares").mkdir()
    for folder in ("./compare", "compares"):
        assert build_parser().parse_args(["eval", folder, "--embedder", "x"]).task == [folder]


@pytest.mark.parametrize("arguments", [["nonsense"], ["index"], ["search", "-k", "many", "x"]])
def test_wrong_usage_is_2(arguments: list[str]) -> None:
    assert main(arguments) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["search"], "there is no question"),
        (["ask", " "], "there is no question"),
        (["search", "-k", "0", "x"], "at least 1"),
        (["index", "--meta", "year", "."], "is not KEY=VALUE"),
    ],
)
def test_options_that_make_no_sense_are_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_spoken_questions_find_their_passage_first(
    demo_kb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    right = 0
    for question in spoken_questions():
        recording = DATA / "questions" / question["file"]
        assert (
            main(["search", "--kb", str(demo_kb), "--audio", str(recording), "--json", "-k", "5"])
            == 0
        )
        result = out_json(capsys)
        assert result["query"]
        assert [hit["rank"] for hit in result["hits"]] == [1, 2, 3, 4, 5]
        best = result["hits"][0]
        if not best["source"].endswith(question["answer_source"]):
            continue
        if best["modality"] == "audio":
            right += (
                best["start"] < question["answer_end"] and best["end"] > question["answer_start"]
            )
        else:
            right += question["answer_contains"] in " ".join(best["text"].split())
    assert right >= 0.8 * len(spoken_questions())


def test_search_in_words_for_people(demo_kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert (
        main(["search", "--kb", str(demo_kb), "-k", "2", "who", "kept", "the", "lighthouse"]) == 0
    )
    captured = capsys.readouterr()
    assert "lighthouse-radio-note.opus  0:" in captured.out
    assert captured.out.startswith("  1  0.")


def test_words_and_sound_together_and_from_standard_input(demo_kb: Path) -> None:
    recording = DATA / "questions" / spoken_questions()[0]["file"]
    command = [*WAVRAG, "search", "--kb", str(demo_kb), "--audio", "-", "--json", "great lens"]
    done = subprocess.run(command, input=recording.read_bytes(), capture_output=True, check=True)
    result = json.loads(done.stdout)
    assert result["query"].startswith("great lens ")
    assert "lighthouse" in result["query"].lower()
    assert result["hits"][0]["source"].endswith("lighthouse-radio-note.opus")


def test_a_filter_holds_for_every_hit(demo_kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    where = "modality = 'text' and set = 'demo' and source like '%.md'"
    assert (
        main(["search", "--kb", str(demo_kb), "bees", "--where", where, "--json", "-k", "50"]) == 0
    )
    hits = out_json(capsys)["hits"]
    assert hits
    assert all(hit["source"].endswith(".md") for hit in hits)
    assert main(["search", "--kb", str(demo_kb), "bees", "--where", "year ="]) == 1
    assert "^" in capsys.readouterr().err


def test_ask_cites_source_and_place(demo_kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    question = spoken_questions()[0]
    recording = str(DATA / "questions" / question["file"])
    assert main(["ask", "--kb", str(demo_kb), "--audio", recording, "--json"]) == 0
    answer = out_json(capsys)
    assert answer["found"]
    assert "[1]" in answer["answer"]
    cited = answer["citations"][0]
    assert cited["source"].endswith(question["answer_source"])
    assert cited["start"] < question["answer_end"]
    assert cited["end"] > question["answer_start"]
    assert question["answer_contains"] in " ".join(c["quote"] for c in answer["citations"])
    assert main(["ask", "--kb", str(demo_kb), "How", "often", "should", "I", "descale?"]) == 0
    captured = capsys.readouterr()
    assert "[1] " in captured.out
    assert "espresso-machine-manual.md" in captured.out


@pytest.mark.skipif(
    not any(map(shutil.which, ("flite", "text2wave", "espeak-ng"))), reason="nothing here speaks"
)
def test_an_answer_is_spoken(
    demo_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "an answer.wav"
    question = DATA / "questions" / spoken_questions()[0]["file"]
    arguments = ["ask", "--kb", str(demo_kb), "--audio", str(question), "--json"]
    arguments += ["--speak", str(out), "--follow", "question", "--name-sources"]
    assert main(arguments) == 0
    answer = out_json(capsys)
    assert "[1]" in answer["answer"]
    assert "[" not in answer["spoken"]
    assert answer["spoken_sources"].startswith("Source")
    spoken = answer["speech"]
    assert spoken["path"] == str(out)
    with wave.open(str(out)) as file:
        assert file.getnframes() / file.getframerate() == pytest.approx(spoken["seconds"], abs=0.01)
    assert spoken["seconds"] > 1


def test_a_voice_without_speech_is_wrong_usage(demo_kb: Path) -> None:
    assert main(["ask", "--kb", str(demo_kb), "question", "--voice", "flite"]) == 2
    assert main(["ask", "--kb", str(demo_kb), "question", "--name-sources"]) == 2


def test_ask_is_honest_when_there_is_nothing(
    demo_kb: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    question = "What is the boiling point of liquid nitrogen in kelvin?"
    assert main(["ask", "--kb", str(demo_kb), question, "--json"]) == 0
    answer = out_json(capsys)
    assert not answer["found"]
    assert answer["citations"] == []


def test_no_base_and_no_recording(
    demo_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ask", "--kb", str(tmp_path / "none"), "hello"]) == 1
    assert "wavrag index PATH" in capsys.readouterr().err
    assert main(["ask", "--kb", str(demo_kb), "--audio", str(tmp_path / "no.wav")]) == 1
    assert "no such file" in capsys.readouterr().err


def test_kb_info_list_export_verify(
    demo_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["kb", "info", "--kb", str(demo_kb), "--json"]) == 0
    info = out_json(capsys)
    assert (info["embedder"], info["documents"], info["recordings"]) == ("wavretriever", 26, 14)
    assert main(["kb", "list", "--kb", str(demo_kb), "--json"]) == 0
    listed = out_json(capsys)
    assert len(listed) == 26
    marked = [d["source"] for d in listed if d["metadata"].get("set") == "demo"]
    assert [Path(source).suffix for source in marked] == [".md"] * 5
    assert main(["kb", "verify", "--kb", str(demo_kb), "--json"]) == 0
    assert out_json(capsys) == {"passages": info["passages"], "defects": [], "sources": []}
    lines, vectors = tmp_path / "out.jsonl", tmp_path / "out.npy"
    arguments = ["--out", str(lines), "--vectors", str(vectors)]
    assert main(["kb", "export", "--kb", str(demo_kb), *arguments]) == 0
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert len(rows) == info["passages"]
    import numpy as np

    assert np.load(vectors).shape == (info["passages"], info["dim"])
    capsys.readouterr()
    for action in ("info", "list", "verify"):
        assert main(["kb", action, "--kb", str(demo_kb)]) == 0
        assert capsys.readouterr().out


def test_kb_remove(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / "docs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "docs" / name).write_text(f"This is {name}.")
    kb = ["--kb", str(tmp_path / "kb")]
    assert main(["index", *kb, "--embedder", "fake", str(tmp_path / "docs")]) == 0
    assert main(["kb", "remove", *kb, str(tmp_path / "docs" / "a.txt")]) == 0
    capsys.readouterr()
    assert main(["kb", "remove", *kb, str(tmp_path / "docs" / "a.txt")]) == 1
    assert "is not in the knowledge base" in capsys.readouterr().err
    assert main(["kb", "remove", *kb, str(tmp_path / "docs"), "--json"]) == 0
    assert out_json(capsys)["passages"] == 2


def test_index_summarises_what_it_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "good.txt").write_text("A good file.")
    (docs / "letter.wav").write_text("not a sound")
    (docs / "empty.md").touch()
    write(docs / "cut.mp3", tone(440, 20, 44_100)[None], 44_100)
    data = (docs / "cut.mp3").read_bytes()
    (docs / "cut.mp3").write_bytes(data[: len(data) // 2])
    arguments = ["index", "--kb", str(tmp_path / "kb"), "--embedder", "fake", str(docs)]
    assert main([*arguments, "--meta", "year=1999", "--meta", "open=true"]) == 1
    captured = capsys.readouterr()
    assert "2 files added, 0 updated, 0 unchanged, 0 removed, 2 skipped" in captured.out
    assert "skipped: " in captured.err
    assert "letter.wav: is not decodable audio" in captured.err
    assert "empty.md: " in captured.err
    assert "note: " in captured.err
    assert "cut.mp3: ends after 10" in captured.err
    (docs / "letter.wav").unlink()
    (docs / "empty.md").unlink()
    (docs / "good.txt").unlink()
    assert (
        main([*arguments, "--meta", "year=1999", "--meta", "open=true", "--prune", "--json"]) == 0
    )
    report = out_json(capsys)
    assert len(report["unchanged"]) == 1
    assert [Path(id).name for id in report["removed"]] == ["good.txt"]


def test_every_kind_of_bad_input_is_skipped_or_taken_as_far_as_it_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    nan = tone(440, 2, RATE)
    nan[20_000] = np.nan
    write(docs / "nan.wav", nan[None], RATE, codec="pcm_f32le")
    with wave.open(str(docs / "none.wav"), "wb") as file:
        file.setparams((1, 2, RATE, 0, "NONE", ""))
    (docs / "empty.mp3").touch()
    (docs / "letter.wav").write_text("not a sound")
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(docs / "locked.pdf")
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(docs / "scan.pdf")
    (docs / "binary.txt").write_bytes(bytes(range(256)) * 9)
    bad = {"nan.wav", "none.wav", "empty.mp3", "letter.wav", "locked.pdf", "scan.pdf"}
    (docs / "latin.txt").write_bytes("Grüße aus Köln.".encode("latin-1"))
    write(docs / "short.wav", tone(440, 0.2, RATE)[None], RATE)
    write(docs / "silence.wav", np.zeros((1, 5 * RATE), np.float32), RATE)
    write(docs / "stereo.mp3", np.stack([tone(440, 2, 44_100)] * 2), 44_100, layout="stereo")
    write(docs / "surround.flac", np.stack([tone(440, 2, RATE)] * 6), RATE, layout="5.1")
    write(docs / "phone.wav", tone(440, 2, 8_000)[None], 8_000)
    write(docs / "bat.wav", tone(440, 2, 192_000)[None], 192_000)
    good = {path.name for path in docs.iterdir()} - bad - {"binary.txt"}
    kb = str(tmp_path / "kb")
    assert main(["index", "--kb", kb, "--json", str(docs)]) == 1
    report = out_json(capsys)
    assert {Path(source).name for source in report["added"]} == good
    assert {Path(skip["source"]).name for skip in report["skipped"]} == bad
    assert [Path(unread["files"][0]).name for unread in report["unread"]] == ["binary.txt"]
    assert all(len(skip["reason"]) > 20 for skip in report["skipped"])
    assert [Path(note["source"]).name for note in report["notes"]] == ["latin.txt"]
    assert main(["kb", "verify", "--kb", kb]) == 0


def test_a_mistyped_path_makes_no_knowledge_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kb = tmp_path / "kb"
    assert main(["index", "--kb", str(kb), str(tmp_path / "typo")]) == 1
    assert "no such file or folder" in capsys.readouterr().err
    assert not kb.exists()
    assert main(["ask", "--kb", str(kb), "--generator", "nonsense", "hello"]) == 1
    assert "no generator is called" in capsys.readouterr().err


def test_an_answer_whose_marks_differ_from_what_was_written_is_shown_with_them(
    demo_kb: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forgetful(FakeGenerator):
        def stream(self, messages: Any, options: Any) -> Iterator[str]:
            yield "The rye loaf must wait a full day before you cut it"
            yield " into slices [9]."

    monkeypatch.setattr("wavrag.rag.rag.load_generator", lambda spec: Forgetful())
    capsys.readouterr()
    question = "How long should I wait before I cut the rye bread?"
    assert main(["ask", "--kb", str(demo_kb), question]) == 0
    out = capsys.readouterr().out
    assert "[9]" not in out
    assert out.count("The rye loaf must wait") == 1
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["ask", "--kb", str(demo_kb), question]) == 0
    out = capsys.readouterr().out
    assert "[9]" in out.splitlines()[0]
    assert "With citations: " in out
    assert "[9]" not in out.partition("With citations: ")[2]


def test_the_progress_bar_moves_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal in (False, True):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        with IndexBar(quiet=False) as bar:
            monkeypatch.setattr(bar, "INTERVAL", 0.0)
            for done in (1, 2):
                bar(Progress(done, 4, 50 * done, 1_800.0 * done, "/a/talk.wav"))
        drawn = capsys.readouterr().err
        assert bar.documents == 2
        assert ("2/4 files" in drawn and "1.00 h of audio" in drawn) is terminal
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with IndexBar(quiet=True) as bar:
        bar(Progress(1, 4, 50, 0.0, "/a/talk.wav"))
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root needs setpriv for this"
)
def test_a_folder_without_permission_is_skipped(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "locked").mkdir(parents=True)
    (docs / "good.txt").write_text("A good file.")
    (docs / "locked" / "secret.txt").write_text("A secret file.")
    (docs / "unreadable.txt").write_text("Another.")
    (docs / "unreadable.txt").chmod(0)
    (docs / "locked").chmod(0)
    command = [*WAVRAG, "index", "--kb", str(tmp_path / "kb"), "--embedder", "fake", str(docs)]
    if os.geteuid() == 0:
        # Root may read everything unless it gives up the capabilities to do so.
        caps = "-dac_override,-dac_read_search"
        command = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}", *command]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    finally:
        (docs / "locked").chmod(0o700)
    assert done.returncode == 1, done.stderr
    assert "1 file added" in done.stdout
    assert "locked: Permission denied" in done.stderr
    assert "unreadable.txt: Permission denied" in done.stderr


def test_killed_again_and_again_the_next_run_completes(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    write(docs / "000.wav", tone(440, 3, RATE)[None], RATE)
    for number in range(1_500):
        (docs / f"{number:04}.txt").write_text(f"This is note {number}. " * 40)
    kb = tmp_path / "kb"
    command = [*WAVRAG, "index", "--kb", str(kb), "--embedder", "fake", str(docs)]
    chance = random.Random(0)
    killed, counts = 0, []
    for _ in range(5):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        # The first run is killed while it makes the store, the others wherever they are.
        while process.poll() is None and not (kb / "store").exists():
            time.sleep(0.01)
        time.sleep(chance.uniform(0.8, 2.0) if counts else 0.3)
        process.send_signal(signal.SIGKILL)
        killed += process.wait() == -signal.SIGKILL
        with KnowledgeBase.open(kb, embedder="fake") as stored:
            assert stored.verify() == []
            counts.append(len(stored.documents()))
    assert killed >= 1
    assert counts == sorted(counts)
    assert main(["index", "--kb", str(kb), str(docs)]) == 0
    with KnowledgeBase.open(kb) as stored:
        assert stored.verify() == []
        assert len(stored.documents()) == 1_501


def test_ctrl_c_says_that_what_was_stored_stays(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    write(docs / "long.wav", tone(300, 1200, 8_000)[None], 8_000)
    command = [*WAVRAG, "index", "--kb", str(tmp_path / "kb"), "--embedder", "fake", str(docs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "kb" / "store").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "interrupted; what was stored stays stored" in err
    assert "Traceback" not in err


def test_two_processes_index_the_same_base_at_once(tmp_path: Path) -> None:
    for part in ("one", "two"):
        (tmp_path / part).mkdir()
        for number in range(60):
            (tmp_path / part / f"{number}.txt").write_text(f"File {number} of part {part}.")
    kb = ["--kb", str(tmp_path / "kb")]
    commands = [
        [*WAVRAG, "index", *kb, "--embedder", "fake", *map(str, paths)]
        for paths in ([tmp_path / "one", tmp_path / "two"], [tmp_path / "two"])
    ]
    processes = [subprocess.Popen(c, stdout=subprocess.DEVNULL) for c in commands]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert main(["kb", "verify", *kb]) == 0
    assert json.loads(run("kb", "info", *kb, "--json").stdout)["documents"] == 120


def test_a_reader_that_goes_away_is_no_error(demo_kb: Path) -> None:
    process = subprocess.Popen(
        [*WAVRAG, "kb", "export", "--kb", str(demo_kb)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=60)
    assert b"Traceback" not in err


def test_doctor_finds_everything_in_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--json"]) == 0
    findings = {finding["subject"]: finding for finding in out_json(capsys)}
    assert findings["embedder cascade"]["state"] == "ok"
    assert findings["store"]["state"] == "ok"
    assert findings["extra server"]["state"] == "ok"
    assert "fastapi" in findings["extra server"]["detail"]
    extras = {name.removeprefix("extra ") for name in findings if name.startswith("extra ")}
    assert extras == set(metadata("wavrag").get_all("Provides-Extra") or ())
    assert main(["doctor"]) == 0
    assert "ok       wavrag" in capsys.readouterr().out


def test_the_demo_answers_with_citations(
    demo_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kb = str(tmp_path / "kb")
    shutil.copytree(demo_kb, kb)
    capsys.readouterr()
    assert main(["demo", "--kb", kb]) == 0
    out = capsys.readouterr().out
    assert "[1] " in out
    assert "lighthouse-radio-note.opus  0:" in out
    assert "espresso-machine-manual.md" in out
    assert main(["demo", "--kb", kb, "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["spoken"]["citations"]


def test_threads_from_the_environment(tmp_path: Path) -> None:
    done = run(
        "index",
        "--kb",
        tmp_path / "kb",
        DATA / "corpus" / "documents" / "rye-bread-recipe.md",
        env={**os.environ, "WAVRAG_THREADS": "two"},
    )
    assert done.returncode == 1
    assert "WAVRAG_THREADS is 'two'" in done.stderr


def test_limits_of_an_answer(demo_kb: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    common = ["ask", "--kb", str(demo_kb), "--json", "How long does the dark rye loaf bake?"]
    assert main([*common, "--max-passages", "1", "--no-transcription"]) == 0
    answer = out_json(capsys)
    assert answer["found"]
    assert {citation["number"] for citation in answer["citations"]} == {1}
    # A text has no times.
    assert not answer["citations"][0].keys() & {"start", "end", "quote_start", "quote_end"}
    assert main([*common, "--min-probability", "1"]) == 0
    answer = out_json(capsys)
    assert not answer["found"]
    assert answer["probability"] < 1
    assert answer["hits"][0]["title"] == "Dark rye bread"


def test_generation_options_reach_the_generator(
    demo_kb: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    received = []

    class Recording(FakeGenerator):
        def stream(self, messages: Any, options: Any) -> Iterator[str]:
            received.append((options.max_tokens, options.seed, options.temperature))
            yield "The loaf bakes for an hour [1]."

    monkeypatch.setattr("wavrag.rag.rag.load_generator", lambda spec: Recording())
    common = ["ask", "--kb", str(demo_kb), "How long does the dark rye loaf bake?"]
    assert main(common) == 0
    assert main([*common, "--max-tokens", "9", "--seed", "7", "--temperature", "0.5"]) == 0
    assert received == [(256, None, 0.0), (9, 7, 0.5)]


def test_a_conversation_goes_on_in_its_file(
    demo_kb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    talk = tmp_path / "Gespräch 1.jsonl"
    common = ["ask", "--kb", str(demo_kb), "--history", str(talk)]
    assert main([*common, "How long does the dark rye loaf bake?"]) == 0
    capsys.readouterr()
    assert main([*common, "--json", "How do I keep it?"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["search_query"] == "How long does the dark rye loaf bake? How do I keep it?"
    assert answer["hits"][0]["source"].endswith("rye-bread-recipe.md")
    turns = [json.loads(line) for line in talk.read_text(encoding="utf-8").splitlines()]
    assert [turn["question"] for turn in turns] == [
        "How long does the dark rye loaf bake?",
        "How do I keep it?",
    ]
    assert turns[1]["answer"] == answer["answer"]
    assert main([*common, "How do I keep it?"]) == 0
    assert "searched for: How long does the dark rye loaf bake?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "line 1: is not JSON"),
        ('\n{"question": 1, "answer": "x"}', "line 2: is not a turn"),
        ('["a"]', "line 1: is not a turn"),
    ],
)
def test_a_file_that_is_no_conversation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str, complaint: str
) -> None:
    talk = tmp_path / "talk.jsonl"
    talk.write_text(content)
    assert main(["ask", "--kb", str(tmp_path), "--history", str(talk), "Why?"]) == 1
    assert complaint in capsys.readouterr().err
    assert main(["ask", "--history", str(tmp_path / "no" / "talk.jsonl"), "Why?"]) == 1
    assert "there is no folder" in capsys.readouterr().err
