"""A folder that is watched: what changes in it changes in the knowledge base."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serving import client, create_rag, serving
from waiting import wait_for
from wavrag import KnowledgeBase
from wavrag.cli import main
from wavrag.errors import InputError, StoreError
from wavrag.kb import AddReport
from wavrag.kb import watch as watch_module
from wavrag.server import ServerOptions


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (
        ("SETTLE_SECONDS", 0.15),
        ("WAKE_SECONDS", 0.05),
        ("RETRY_SECONDS", 0.5),
        ("POLL_SECONDS", 0.05),
    ):
        monkeypatch.setattr(watch_module, name, seconds)


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "base", embedder="fake") as opened:
        yield opened


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "talks"
    folder.mkdir()
    (folder / "bees.txt").write_text("Bees dance.")
    return folder


class Watching:
    """A knowledge base that is watched on a thread."""

    def __init__(self) -> None:
        self.reports: queue.Queue[AddReport] = queue.Queue()
        self.notes: list[str] = []
        self.stop = threading.Event()

    def next(self) -> AddReport:
        return self.reports.get(timeout=20)


@contextmanager
def watching(
    kb: KnowledgeBase, *folders: Path, polling: bool = False, globs: tuple[str, ...] = ()
) -> Iterator[Watching]:
    state = Watching()
    reports = kb.watch(
        folders,
        globs=globs,
        metadata={"set": "watched"},
        stop=state.stop,
        on_note=state.notes.append,
        polling=polling,
    )
    thread = threading.Thread(target=lambda: [state.reports.put(report) for report in reports])
    thread.start()
    try:
        yield state
    finally:
        state.stop.set()
        thread.join(timeout=20)
        assert not thread.is_alive()


def names(sources: list[str]) -> list[str]:
    return sorted(Path(source).name for source in sources)


def stored(kb: KnowledgeBase) -> list[str]:
    return names([document.source for document in kb.documents()])


@pytest.mark.parametrize("polling", [False, True])
def test_changes_are_indexed_as_they_happen(kb: KnowledgeBase, folder: Path, polling: bool) -> None:
    with watching(kb, folder, polling=polling) as state:
        assert names(state.next().added) == ["bees.txt"]
        (folder / "inner").mkdir()
        (folder / "inner" / "tides.md").write_text("Tides follow the moon.")
        (folder / ".hidden.txt").write_text("Not for others.")
        assert names(state.next().added) == ["tides.md"]
        (folder / "bees.txt").write_text("Wasps build nests of paper.")
        # Polling compares whole seconds.
        os.utime(folder / "bees.txt", (time.time(), time.time() + 5))
        assert names(state.next().updated) == ["bees.txt"]
        (folder / "bees.txt").unlink()
        assert names(state.next().removed) == ["bees.txt"]
    assert stored(kb) == ["tides.md"]
    (document,) = kb.documents()
    assert document.metadata == {"set": "watched"}
    assert state.notes == []


def test_folders_come_and_go_as_a_whole(kb: KnowledgeBase, folder: Path, tmp_path: Path) -> None:
    batch = tmp_path / "batch"
    batch.mkdir()
    for number in range(3):
        (batch / f"{number}.txt").write_text(f"Note {number}.")
    with watching(kb, folder, globs=("[0-1].txt",)) as state:
        assert state.next().added == []
        batch.rename(folder / "batch")
        assert names(state.next().added) == ["0.txt", "1.txt"]
        (folder / "batch").rename(batch)
        assert names(state.next().removed) == ["0.txt", "1.txt"]
    assert stored(kb) == []


def test_a_renamed_file_is_moved(kb: KnowledgeBase, folder: Path) -> None:
    with watching(kb, folder) as state:
        (id,) = state.next().added
        (folder / "bees.txt").rename(folder / "wasps.txt")
        report = state.next()
        assert (report.moved, report.added, report.removed) == ([id], [], [])
    assert stored(kb) == ["wasps.txt"]


def test_a_file_that_is_still_written_is_read_once(
    kb: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_module, "SETTLE_SECONDS", 0.5)
    with watching(kb, folder) as state:
        state.next()
        with (folder / "long.txt").open("w") as file:
            for number in range(12):
                file.write(f"Sentence {number}. ")
                file.flush()
                time.sleep(0.1)
        report = state.next()
        assert names(report.added) == ["long.txt"]
        assert state.reports.empty()
    assert "Sentence 11." in (kb.passages(str(folder / "long.txt"))[0].text or "")


def test_an_unmounted_disk_deletes_nothing(kb: KnowledgeBase, folder: Path, tmp_path: Path) -> None:
    with watching(kb, folder) as state:
        state.next()
        folder.rename(tmp_path / "disk")
        wait_for(lambda: bool(state.notes))
        assert state.notes == [f"{folder} is gone: waiting for it"]
        folder.mkdir()  # the mount point
        assert state.next().removed == []
        assert stored(kb) == ["bees.txt"]
        folder.rmdir()
        wait_for(lambda: len(state.notes) == 3)
        (tmp_path / "disk" / "new.txt").write_text("Written elsewhere.")
        (tmp_path / "disk").rename(folder)
        assert names(state.next().added) == ["new.txt"]
    assert stored(kb) == ["bees.txt", "new.txt"]


def test_an_empty_folder_at_the_start_removes_nothing(kb: KnowledgeBase, folder: Path) -> None:
    for _ in range(2):
        with watching(kb, folder) as state:
            state.next()
        (folder / "bees.txt").unlink(missing_ok=True)
    assert stored(kb) == ["bees.txt"]


def test_a_failure_of_the_disk_is_tried_again(
    kb: KnowledgeBase, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watching(kb, folder) as state:
        state.next()
        with monkeypatch.context() as patch:

            def fail(*_: object, **__: object) -> None:
                raise StoreError("the disk is full")

            patch.setattr(kb, "add", fail)
            (folder / "new.txt").write_text("A new file.")
            wait_for(lambda: bool(state.notes))
        assert state.notes[0] == "the disk is full; trying again in 0.5 s"
        assert names(state.next().added) == ["new.txt"]


def test_the_knowledge_base_in_a_watched_folder_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A text.")
    with KnowledgeBase.open(tmp_path / "base", embedder="fake") as kb:
        (tmp_path / "base" / "uploads").mkdir()
        (tmp_path / "base" / "uploads" / "b.txt").write_text("An upload.")
        with watching(kb, tmp_path) as state:
            assert names(state.next().added) == ["a.txt"]
            (tmp_path / "base" / "uploads" / "c.txt").write_text("Another upload.")
            (tmp_path / "d.txt").write_text("A new file.")
            assert names(state.next().added) == ["d.txt"]


def test_a_hidden_folder_can_be_named(kb: KnowledgeBase, folder: Path) -> None:
    (folder / ".private").mkdir()
    with watching(kb, folder, folder / ".private") as state:
        assert names(state.next().added) == ["bees.txt"]
        (folder / ".private" / "diary.txt").write_text("A secret.")
        assert names(state.next().added) == ["diary.txt"]


def test_a_missing_folder_is_refused_at_the_call(kb: KnowledgeBase, folder: Path) -> None:
    for path in (folder / "typo", folder / "bees.txt"):
        with pytest.raises(InputError, match="is not a folder"):
            kb.watch([folder, path])


@pytest.mark.skipif(not hasattr(os, "symlink"), reason="there are no links")
def test_ids_are_those_of_index_below_a_link(
    kb: KnowledgeBase, folder: Path, tmp_path: Path
) -> None:
    link = tmp_path / "link"
    link.symlink_to(folder)
    with watching(kb, link) as state:
        assert state.next().added == [str(link / "bees.txt")]
        (folder / "new.txt").write_text("A new file.")
        assert state.next().added == [str(link / "new.txt")]


def test_the_command_prints_changes_and_ends_with_ctrl_c(folder: Path, tmp_path: Path) -> None:
    arguments = ["watch", str(folder), "--kb", str(tmp_path / "base"), "--embedder", "fake"]
    process = subprocess.Popen(
        [sys.executable, "-m", "wavrag", *arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "added    talks/bees.txt\n"
    (folder / "new.txt").write_text("A new file.")
    assert process.stdout.readline() == "added    talks/new.txt\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert err.splitlines() == [
        "watching talks (press Ctrl-C to stop)",
        "stopped watching: 2 documents in base",
    ]


def test_the_command_prints_lines_of_json(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(watch_module._Watcher, "_select_settled", interrupt)
    arguments = ["--kb", str(tmp_path / "base"), "--embedder", "fake", "--json"]
    assert main(["watch", str(folder), *arguments]) == 0
    captured = capsys.readouterr()
    (line,) = captured.out.splitlines()
    assert names(json.loads(line)["added"]) == ["bees.txt"]
    assert captured.err == ""


def test_a_missing_folder_makes_no_knowledge_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kb = ["--kb", str(tmp_path / "base")]
    for command in (
        ["watch", str(tmp_path / "typo")],
        ["serve", "--watch", str(tmp_path / "typo")],
    ):
        assert main([*command, *kb]) == 1
        assert "typo is not a folder" in capsys.readouterr().err
    assert not (tmp_path / "base").exists()


def test_a_server_indexes_the_changes_of_a_folder(folder: Path, tmp_path: Path) -> None:
    options = ServerOptions(voice="fake", watch_folders=(str(folder),))
    with create_rag(tmp_path) as rag, serving(rag, options) as url, client(url) as http:
        wait_for(lambda: "bees" in http.get("/v1/documents", params={"q": "talks"}).text)
        (folder / "tides.md").write_text("Tides follow the moon.")
        wait_for(lambda: "tides" in http.get("/v1/documents", params={"q": "talks"}).text)
        (folder / "bees.txt").unlink()
        wait_for(lambda: "bees" not in http.get("/v1/documents", params={"q": "talks"}).text)
