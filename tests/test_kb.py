import importlib
import os
import re
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio_files import frequency, tone, write, write_tracks
from letter_posteriors import posteriors
from wavrag import Clip, Document, KnowledgeBase, Query
from wavrag.cli import main
from wavrag.corrections import apply_corrections
from wavrag.embed import EmbedResult, FakeEmbedder, SpeechCorrector
from wavrag.embed.base import EmbedderSpec
from wavrag.errors import EmbedderError, IndexMismatchError, InputError, StoreError
from wavrag.kb import Progress, find_files
from wavrag.kb.backend import FolderBackend
from wavrag.kb.closest import missing_kb
from wavrag.kb.manifest import COPY, FILE
from wavrag.kb.prefetch import prefetch
from wavrag.search import remove_overlaps
from wavrag.shapes import PassageShape
from wavrag.store import LanceStore, MemoryStore, StoredPassage
from wavrag.types import EmbedInput, Float32, Hit, Role

RATE = 16_000


@pytest.fixture
def kb(tmp_path: Path) -> Iterator[KnowledgeBase]:
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        yield kb


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with two texts and a recording."""
    folder = tmp_path / "some files, naïve"
    (folder / "inner").mkdir(parents=True)
    (folder / "bees.txt").write_text("Bees dance to show where flowers are.")
    (folder / "inner" / "tides.md").write_text("# Tides\n\nThe moon pulls the sea.")
    write(folder / "hum.wav", tone(440, 3, RATE)[None], RATE)
    return folder


def sources(kb: KnowledgeBase) -> list[str]:
    return [Path(document.source).name for document in kb.documents()]


def test_files_are_found_added_and_searched(kb: KnowledgeBase, files: Path) -> None:
    report = kb.add(find_files([files]).documents)
    assert len(report.added) == 3
    assert report.skipped == []
    assert report.passages == kb.count() == 3
    assert report.audio_seconds == pytest.approx(3, abs=0.1)
    assert sources(kb) == ["bees.txt", "hum.wav", "tides.md"]
    best = kb.search("where do bees dance", k=1)[0]
    assert best.passage.text == "Bees dance to show where flowers are."
    assert best.passage.title == "bees"
    assert (best.rank, set(best.legs)) == (1, {"dense", "lexical"})
    heard = kb.search(Query(clip=Clip(tone(440, 1, RATE), RATE)), k=1)[0]
    assert heard.passage.source.endswith("hum.wav")
    assert heard.passage.location == "0:00.0-0:03.0"


def test_what_has_not_changed_is_left_and_what_has_is_replaced(
    kb: KnowledgeBase, files: Path
) -> None:
    kb.add(find_files([files]).documents)
    report = kb.add(find_files([files]).documents)
    assert (len(report.unchanged), report.added, report.passages) == (3, [], 0)
    (files / "bees.txt").write_text("Wasps build nests of paper.")
    report = kb.add(find_files([files]).documents)
    assert [Path(id).name for id in report.updated] == ["bees.txt"]
    assert len(report.unchanged) == 2
    texts = [record.passage.text for record in kb.scan()]
    assert "Wasps build nests of paper." in texts
    assert not any(text and "Bees" in text for text in texts)


def test_other_metadata_is_a_change_and_filters_see_it(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files / "bees.txt"], metadata={"year": 1999}).documents)
    report = kb.add(find_files([files / "bees.txt"], metadata={"year": 2001}).documents)
    assert len(report.updated) == 1
    assert kb.search(Query("bees", where="year = 2001"))
    assert not kb.search(Query("bees", where="year = 1999"))


def test_prune_removes_what_is_gone_from_the_folders_named(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files]).documents)
    (files / "bees.txt").unlink()
    (files / "inner" / "tides.md").unlink()
    assert [Path(id).name for id in kb.prune([files / "inner"])] == ["tides.md"]
    assert [Path(id).name for id in kb.prune([files])] == ["bees.txt"]
    assert sources(kb) == ["hum.wav"]


def test_prune_keeps_what_cannot_be_looked_at(
    kb: KnowledgeBase, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kb.add(find_files([files]).documents)

    def refuse(path: str) -> None:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("wavrag.kb.knowledge_base.os.lstat", refuse)
    assert kb.prune([files]) == []
    assert kb.count() == 3


def test_a_folder_that_is_not_there_prunes_nothing(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files]).documents)
    files.rename(files.with_name("unmounted"))
    assert kb.prune([files]) == []
    assert kb.count() == 3


def test_bad_files_are_skipped_with_the_reason_and_the_rest_goes_on(
    kb: KnowledgeBase, files: Path
) -> None:
    (files / "a-empty.txt").touch()
    (files / "letter.wav").write_text("not a sound")
    report = kb.add(find_files([files]).documents)
    reasons = {Path(source).name: reason for source, reason in report.skipped}
    assert set(reasons) == {"a-empty.txt", "letter.wav"}
    assert "empty" in reasons["a-empty.txt"]
    assert "not decodable audio" in reasons["letter.wav"]
    assert len(report.added) == 3


def test_a_file_that_becomes_bad_keeps_what_was_stored(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files]).documents)
    (files / "hum.wav").write_bytes(b"RIFF")
    report = kb.add(find_files([files]).documents)
    assert len(report.skipped) == 1
    assert "hum.wav" in sources(kb)


def test_documents_in_memory(kb: KnowledgeBase) -> None:
    documents = [
        Document("a", text="The lighthouse has a red lamp.", title="Coast"),
        Document("b", clip=Clip(tone(500, 2, 8_000), 8_000), metadata={"kind": "beep"}),
    ]
    report = kb.add(documents)
    assert report.added == ["a", "b"]
    assert kb.add(documents).unchanged == ["a", "b"]
    hit = kb.search(Query("lamp", where="title = 'Coast'"))[0]
    assert hit.passage.source == "a"
    assert kb.search(Query("beep", where="kind = 'beep'"))[0].passage.end == pytest.approx(2)
    assert kb.remove(["a", "unknown"]) == 1
    assert kb.remove(["a"]) == 0


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (Document("bad", text="x", metadata={"a": None}), "metadata 'a' is None"),  # type: ignore[dict-item]
        (Document("bad", text="x", metadata={"a": float("nan")}), "metadata 'a' is nan"),
        (Document("bad", clip=Clip(np.zeros((9, 2), np.float32), RATE)), r"shape \(9, 2\)"),
        (Document("bad", clip=Clip(np.zeros(9, np.int16), RATE)), "samples of int16"),  # type: ignore[arg-type]
        (Document("bad", clip=Clip(np.full(9, np.nan, np.float32), RATE)), "NaN"),
        (Document("bad", clip=Clip(np.zeros(0, np.float32), RATE)), "0 samples"),
        (Document("first", text="again"), "given twice"),
    ],
)
def test_a_bad_document_does_not_take_its_neighbours_along(
    kb: KnowledgeBase, bad: Document, reason: str
) -> None:
    report = kb.add([Document("first", text="one"), bad, Document("last", text="two")])
    assert report.added == ["first", "last"]
    assert len(report.skipped) == 1
    assert re.search(reason, report.skipped[0][1])


def test_another_way_of_splitting_is_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    documents = [Document("a", text="One sentence. " * 40)]
    with KnowledgeBase.open(tmp_path, embedder="fake") as kb:
        kb.add(documents)
        before = kb.count()
    module = importlib.import_module("wavrag.text.split")
    for name, length in (("TARGET_CHARS", 50), ("MAX_CHARS", 100), ("OVERLAP_CHARS", 10)):
        monkeypatch.setattr(module, name, length)
    monkeypatch.setattr("wavrag.kb.passages.SPLIT_VERSION", "next")
    with KnowledgeBase.open(tmp_path) as kb:
        assert kb.add(documents).updated == ["a"]
        assert kb.count() > before


def test_a_full_disk_ends_the_run_and_keeps_what_was_stored(tmp_path: Path) -> None:
    class Full(MemoryStore):
        writes = 0

        def upsert(self, records: Sequence[StoredPassage]) -> None:
            self.writes += 1
            if self.writes > 1:
                raise StoreError("the disk is full")
            super().upsert(records)

    store = Full(64)
    kb = KnowledgeBase(tmp_path, FakeEmbedder(), store)
    documents = [Document(f"{n}", text=f"Number {n}.") for n in range(1_500)]
    with pytest.raises(StoreError, match="disk is full"):
        kb.add(documents)
    assert store.writes == 2
    assert store.count() >= 1_000
    assert store.verify() == []


def test_a_long_run_updates_the_indexes_after_a_number_of_passages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("BATCH", 1), ("COMMIT_PASSAGES", 1), ("OPTIMIZE_PASSAGES", 2)):
        monkeypatch.setattr(f"wavrag.kb.indexing.{name}", value)
    counts: list[int] = []
    monkeypatch.setattr(LanceStore, "optimize", lambda store: counts.append(store.count()))
    with KnowledgeBase.open(tmp_path, embedder=FakeEmbedder()) as kb:
        for ids in ("abcd", "abcd", "e"):
            kb.add([Document(id, text=f"The ferry {id} waits for the tide.") for id in ids])
    assert counts == [2, 4, 5]  # not a second time when a run ends, nor when nothing has changed


def test_an_empty_document_is_skipped(kb: KnowledgeBase) -> None:
    report = kb.add([Document("nothing"), Document("void", text=" \n ")])
    assert [source for source, _ in report.skipped] == ["nothing", "void"]


def test_progress_counts_what_is_done(kb: KnowledgeBase, files: Path) -> None:
    seen: list[Progress] = []
    kb.add(find_files([files]).documents, on_progress=seen.append)
    assert seen[-1].documents == seen[-1].total == 3
    assert seen[-1].passages == 3
    assert seen[-1].audio_seconds == pytest.approx(3, abs=0.1)
    counts = [progress.documents for progress in seen]
    assert counts == sorted(counts)


def test_an_interrupted_run_keeps_whole_documents(kb: KnowledgeBase, files: Path) -> None:
    # 32 passages are embedded at a time: by the second batch the first files are whole.
    for number in range(50):
        (files / f"note{number:02}.txt").write_text(f"Note number {number}.")

    def stop(progress: Progress) -> None:
        if progress.passages == 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        kb.add(find_files([files]).documents, on_progress=stop)
    assert kb.verify() == []
    stored = kb.count()
    assert 0 < stored < 53
    report = kb.add(find_files([files]).documents)
    assert len(report.unchanged) == stored
    assert kb.count() == 53


def test_the_embedder_is_remembered_and_another_refused(tmp_path: Path) -> None:
    folder = tmp_path / "kb"
    with KnowledgeBase.open(folder, embedder="fake") as kb:
        kb.add([Document("a", text="hello")])
    with KnowledgeBase.open(folder) as kb:
        assert kb.embedder.spec.name == "fake"
        assert kb.count() == 1
    with pytest.raises(IndexMismatchError, match=r"made with the embedder fake .* not with minilm"):
        KnowledgeBase.open(folder, embedder="minilm")


def test_another_revision_of_the_embedder_is_refused(tmp_path: Path) -> None:
    class Newer(FakeEmbedder):
        @property
        def spec(self) -> EmbedderSpec:
            from dataclasses import replace

            return replace(super().spec, revision="2")

    KnowledgeBase.open(tmp_path, embedder="fake").close()
    with pytest.raises(IndexMismatchError, match=r"revision 1 of fake.*has 2.*kb upgrade"):
        KnowledgeBase.open(tmp_path, embedder=Newer())


def test_a_knowledge_base_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="wavrag index PATH"):
        KnowledgeBase.open(tmp_path / "none", create=False)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("folder", "closest"),
    [("my-bk", "my-kb"), ("talk-kb", "talks-kb"), ("my-kb/store", "my-kb"), (".", "my-kb")],
)
def test_the_error_names_the_closest_knowledge_base(
    tmp_path: Path, folder: str, closest: str
) -> None:
    for name in ("my-kb", "talks-kb"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "kb.json").touch()
    (tmp_path / "my-bk-notes").mkdir()
    with pytest.raises(StoreError) as error:
        raise missing_kb(FolderBackend(tmp_path / folder))
    assert f"the closest one is {tmp_path / closest}: name it" in str(error.value)


def test_serving_makes_no_knowledge_base_unless_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    serve_calls: list[KnowledgeBase] = []
    monkeypatch.setattr("wavrag.server.serve", lambda rag, *_, **__: serve_calls.append(rag.kb))
    command = ["serve", "--embedder", "fake", "--kb", str(tmp_path / "kb")]
    assert main(command) == 1
    assert "`wavrag serve --create`" in capsys.readouterr().err
    assert not (tmp_path / "kb").exists()
    assert main([*command, "--create"]) == 0
    assert main(command) == 0
    assert [kb.directory for kb in serve_calls] == 2 * [tmp_path / "kb"]


def test_an_unknown_embedder_makes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="unknown embedder"):
        KnowledgeBase.open(tmp_path / "kb", embedder="nonsense")
    assert not (tmp_path / "kb").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "damaged"),
        ('{"format": 99, "embedder": {}, "created": ""}', "format 99"),
        ('{"format": 1, "embeder": {}, "created": ""}', "unknown key 'embeder'.*kb repair"),
        ('{"format": 1, "embedder": {"name": "fake"}, "created": ""}', "key is missing"),
        (
            '{"format": 1, "embedder": {"name": 1, "revision": "1", "dim": 4}, "created": ""}',
            "type",
        ),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StoreError, match=message):
        KnowledgeBase.open(tmp_path)


def test_two_processes_that_make_one_at_once_agree(tmp_path: Path) -> None:
    opened: list[str] = []

    def make() -> None:
        with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
            opened.append(kb.embedder.spec.name)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert opened == ["fake"] * 4
    assert sorted(os.listdir(tmp_path / "kb")) == [COPY, FILE, "store"]


def test_a_folder_without_hard_links(
    tmp_path: Path, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: str, target: str) -> None:
        raise PermissionError(1, "Operation not permitted", source, None, target)

    monkeypatch.setattr(os, "link", refuse)
    with KnowledgeBase.open(tmp_path / "kb", embedder="fake") as kb:
        assert len(kb.add(find_files([files]).documents).added) == 3
    with KnowledgeBase.open(tmp_path / "kb", create=False) as kb:
        assert kb.search("where do bees dance", k=1)[0].passage.title == "bees"
    assert (tmp_path / "kb" / FILE).is_file()
    assert not list((tmp_path / "kb").rglob(".*-*"))


def test_the_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    KnowledgeBase.open(embedder="fake").close()
    assert (tmp_path / ".wavrag" / FILE).exists()
    monkeypatch.setenv("WAVRAG_KB", str(tmp_path / "elsewhere"))
    KnowledgeBase.open(embedder="fake").close()
    assert (tmp_path / "elsewhere" / FILE).exists()


def test_empty_and_deaf_queries_are_refused(tmp_path: Path, kb: KnowledgeBase) -> None:
    for query in (Query(), Query(text="  ")):
        with pytest.raises(InputError, match="the query is empty"):
            kb.search(query)
    with (
        KnowledgeBase.open(tmp_path / "deaf", embedder="minilm") as deaf,
        pytest.raises(InputError, match="minilm embeds text only"),
    ):
        deaf.search(Query(clip=Clip(tone(440, 1, RATE), RATE)))


def test_a_long_spoken_query_is_cut_and_not_refused(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files]).documents)
    found = kb.retrieve(Query(clip=Clip(tone(440, 95, 8_000), 8_000)))
    assert found.hits[0].passage.source.endswith("hum.wav")
    assert np.linalg.norm(found.vector) == pytest.approx(1)


def test_find_files_takes_known_kinds_each_once(tmp_path: Path, files: Path) -> None:
    (files / ".hidden.txt").write_text("x")
    (files / "table.xlsx").write_bytes(b"x")
    (files / ".git").mkdir()
    (files / ".git" / "a.txt").write_text("x")
    found = find_files([files, files / "bees.txt", str(files / "inner")])
    assert [Path(d.id).name for d in found.documents] == ["bees.txt", "hum.wav", "tides.md"]
    assert found.skipped == ()
    named = find_files([files / "table.xlsx", files / "none.txt"])
    assert named.documents == ()
    assert "no such file" in named.skipped[0][1]
    assert "not a readable xlsx" in named.skipped[1][1]
    only = find_files([files], globs=["*.md", "*/hum.*"])
    assert [Path(d.id).name for d in only.documents] == ["hum.wav", "tides.md"]


@pytest.mark.parametrize(
    "name", ["3.12\u202fPM.txt", "a\u00a0b.txt", "👩‍🚀.txt", "new\nline.txt", "-x.txt"]
)
def test_unusual_file_names_are_indexed(kb: KnowledgeBase, tmp_path: Path, name: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / name).write_text("A comet came by.")
    found = find_files([tmp_path / "docs"])
    assert found.skipped == ()
    assert kb.add(found.documents).added == [str(tmp_path / "docs" / name)]
    assert kb.search("comet")[0].passage.source.endswith(name)


def test_names_that_are_not_utf8_pipes_and_loops_are_no_danger(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    (docs / "inner").mkdir(parents=True)
    (docs / "inner" / "a.txt").write_text("A file.")
    (docs / "inner" / "back").symlink_to(docs)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.txt").write_text("Reached by a link.")
    (docs / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(docs / "pipe.wav")
    with open(os.fsencode(docs) + b"/\xff.txt", "w") as file:
        file.write("x")
    found = find_files([docs, docs / "pipe.wav"])
    assert [Path(d.id).name for d in found.documents] == ["a.txt", "b.txt"]
    reasons = sorted(reason for _, reason in found.skipped)
    assert reasons == [
        "is a pipe or a device, not a file: leave it out",
        "its name is not valid UTF-8: rename it",
    ]


def test_reading_ahead_keeps_order_passes_errors_on_and_stops() -> None:
    assert list(prefetch(iter(range(100)), size=3)) == list(range(100))

    def failing() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    ahead = prefetch(failing(), size=3)
    assert next(ahead) == 1
    with pytest.raises(ValueError, match="broken"):
        next(ahead)

    closed = threading.Event()

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 0
        finally:
            closed.set()

    ahead = prefetch(endless(), size=3)
    next(ahead)
    ahead.close()
    assert closed.wait(5)
    assert not [t for t in threading.enumerate() if t.name == "wavrag-read" and t.is_alive()]


def test_embedding_errors_end_the_run_and_keep_what_was_stored(tmp_path: Path) -> None:
    class Failing(FakeEmbedder):
        def embed(self, items: list[EmbedInput], role: Role) -> Float32:
            if any(item.text and "poison" in item.text for item in items):
                raise EmbedderError("the model has gone")
            return super().embed(items, role)

    with KnowledgeBase.open(tmp_path / "kb", embedder=Failing()) as kb:
        documents = [Document(f"{n:03}", text=f"word {n}") for n in range(70)]
        with pytest.raises(EmbedderError, match="has gone"):
            kb.add([*documents, Document("x", text="poison")])
        assert kb.count() >= 32
        assert kb.verify() == []


def test_a_query_does_not_wait_for_a_writer(kb: KnowledgeBase, files: Path) -> None:
    kb.add(find_files([files]).documents)
    with KnowledgeBase.open(kb.directory) as reader:
        assert reader.count() == 3
        kb.add([Document("new", text="A comet came by.")])
        assert reader.search("comet", k=1)[0].passage.document_id == "new"


def test_misspelled_words_find_their_passage(kb: KnowledgeBase) -> None:
    assert kb.retrieve(Query("lighthuose")).corrections == ()
    kb.add([
        Document("light", text="The lighthouse of Zürich warns the ferries."),
        Document("sea", text="The moon pulls the sea."),
    ])  # fmt: skip
    retrieval = kb.retrieve(Query("Which lighthuose warns?"))
    (correction,) = retrieval.corrections
    assert (correction.word, correction.alternatives[0].text) == ("lighthuose", "lighthouse")
    assert retrieval.words == "Which lighthuose warns?"
    assert retrieval.suggestion == "Which lighthouse warns?"
    assert "lexical" in kb.retrieve(Query("lighthuose")).hits[0].legs
    # The fake embedder gives equal texts equal vectors.
    spelled = kb.retrieve(Query("Which lighthouse warns?"))
    assert (spelled.corrections, spelled.suggestion) == ((), None)
    assert np.array_equal(retrieval.vector, spelled.vector)
    # Without correction, the passage is only found by its vector.
    exact = kb.retrieve(Query("lighthuose", spelling=False))
    assert exact.corrections == ()
    assert all("lexical" not in hit.legs for hit in exact.hits)
    # The index finds inflected words and words without accents, so these are no errors.
    assert kb.retrieve(Query("ferry warning zurich")).corrections == ()
    kb.remove(["light"])
    assert kb.retrieve(Query("lighthuose")).corrections == ()


class MishearingEmbedder(FakeEmbedder):
    """Hears "Kablai" in a sound that spells "kublai"."""

    def embed_questions(
        self, inputs: Sequence[EmbedInput], corrector: SpeechCorrector | None
    ) -> EmbedResult:
        transcript = "who was Kablai"
        letters = posteriors("w_h_o w_a_s k_u_b_l_a_i", 0.6)
        corrections = tuple(corrector.correct(transcript, letters)) if corrector else ()
        text = apply_corrections(transcript, corrections)
        vectors = self.embed([EmbedInput(text=text)], "query")
        return EmbedResult(vectors, (transcript,), (corrections,))


def test_a_spoken_question_is_heard_with_the_words_of_the_knowledge_base(tmp_path: Path) -> None:
    question = Clip(np.zeros(16_000, np.float32), 16_000)
    with KnowledgeBase.open(tmp_path, embedder=MishearingEmbedder()) as kb:
        kb.add([
            Document("khan", text="Kublai was the grandson of Genghis."),
            Document("cuba", text="Cuba is an island of the Caribbean."),
        ])  # fmt: skip
        result = kb.retrieve(Query(clip=question))
        assert result.words == "who was Kublai"
        assert result.hits[0].passage.document_id == "khan"
        assert [(c.word, c.alternatives[0].text) for c in result.corrections] == [
            ("Kablai", "kublai")
        ]
        assert result.suggestion is None  # of typed words only
        assert "khan" in {hit.passage.document_id for hit in result.legs["lexical"]}

        plain = kb.retrieve(Query(clip=question, spelling=False))
        assert (plain.words, plain.corrections) == ("who was Kablai", ())
        assert not plain.legs["lexical"]

        # The words of the index follow its documents.
        kb.remove(["khan"])
        assert "kublai" not in (kb.retrieve(Query(clip=question)).words or "").lower()


def test_tracks_and_channels_of_a_recording(kb: KnowledgeBase, tmp_path: Path) -> None:
    tones = [tone(hertz, 4, RATE) for hertz in (300, 700)]
    tracks = write_tracks(tmp_path / "tracks.mkv", tones, titles=("Mic", ""))
    call = write(tmp_path / "call.wav", np.stack(tones), RATE, layout="stereo")
    documents = [
        Document("tracks", path=str(tracks)),
        Document("call", path=str(call), channels="split"),
    ]
    kb.add(documents)
    passages = [*kb.passages("tracks"), *kb.passages("call")]
    assert [(passage.track, passage.channel) for passage in passages] == [
        (1, None), (2, None), (None, 1), (None, 2)
    ]  # fmt: skip
    assert [passage.location for passage in passages] == [
        "0:00.0-0:04.0, track 1, Mic", "0:00.0-0:04.0, track 2",
        "0:00.0-0:04.0, channel 1", "0:00.0-0:04.0, channel 2",
    ]  # fmt: skip
    for passage, hertz in zip(passages, (300, 700, 300, 700), strict=True):
        clip = kb.load_clip(passage)
        assert clip.duration == pytest.approx(4, abs=0.01)
        assert frequency(clip.samples, RATE) == pytest.approx(hertz, abs=1)
    # The same span of another channel is another passage.
    hits = [Hit(passage, rank, 0.5, {}) for rank, passage in enumerate(passages, 1)]
    assert remove_overlaps(hits) == hits
    assert PassageShape.dump(passages[0])["section"] == "Mic"
    assert "section" not in PassageShape.dump(passages[1])
    assert kb.add(documents).unchanged == ["tracks", "call"]
    assert kb.add([replace(documents[1], channels="mix")]).updated == ["call"]
    assert [passage.channel for passage in kb.passages("call")] == [None]


def test_tags_of_a_recording(kb: KnowledgeBase, tmp_path: Path) -> None:
    tags = {"title": "Winter", "artist": "Ada", "lyrics": "The queen sleeps in a ball."}
    path = write(tmp_path / "a.mp3", tone(440, 4, RATE)[None], RATE, tags=tags)
    kb.add([Document("bees", path=str(path), metadata={"artist": "Bo"})])
    sound, lyrics = kb.passages("bees")
    assert (sound.title, sound.metadata["artist"]) == ("Winter", "Bo")
    assert (lyrics.text, lyrics.section, lyrics.modality) == (tags["lyrics"], "Lyrics", "text")
    hits = kb.search("queen sleeps ball")
    assert [hit.passage for hit in hits if "lexical" in hit.legs] == [lyrics]
    kb.add([Document("bees", path=str(path), title="Mine")])
    assert kb.passages("bees")[0].title == "Mine"
