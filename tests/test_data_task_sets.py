"""Published data sets to task folders, and mixtures of recordings and texts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from dataset_fixtures import MINIATURES, put, put_json, put_parquet, squad_document, wav, wav_bytes
from task_set_fixtures import put_lines, squtr, svq
from wavrag.cli import main
from wavrag.cli.tasks import NAMES
from wavrag.data.task_sets import TASK_SETS, MixOptions, TaskOptions, make_mixed_task, make_task
from wavrag.data.tasks import Task, load_task
from wavrag.data.voices import load_speaker
from wavrag.errors import InputError
from wavrag.evaluate import evaluate_embedder

ROOT = Path(__file__).parent.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space and accents in its name."""
    path = tmp_path / "Daten für später é"
    path.mkdir()
    return path


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "task"


def miniature(name: str, folder: Path) -> None:
    next(mini for mini in MINIATURES if mini.name == name).write(folder)


def made(
    name: str, folder: Path, out: Path, options: TaskOptions | None = None
) -> tuple[Task, list[str]]:
    """The task as it is loaded, and what was told."""
    told: list[str] = []
    queries, entries = make_task(name, folder, out, options, on_note=told.append)
    task = load_task(out)
    assert (queries, entries) == (len(task.queries), len(task.corpus))
    return task, told


def samples(audio: str | None) -> bytes:
    """Bytes of a sound file."""
    assert audio is not None
    return Path(audio).read_bytes()


def test_the_page_has_a_line_for_every_set() -> None:
    page = (ROOT / "docs" / "tasks.md").read_text("utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| [`")]
    starts = [
        f"| [`{each.name}`]({each.page}) | {', '.join(each.directions)} | {each.layout}"
        f" | {each.licence} | "
        for each in TASK_SETS.values()
    ]
    assert len(rows) == len(starts)
    for row, start in zip(rows, starts, strict=True):
        assert row.startswith(start)
    assert (*TASK_SETS, "mixed") == NAMES


def test_written_questions_to_joined_recordings(folder: Path, out: Path) -> None:
    miniature("spoken-squad", folder)
    task, told = made("spoken-squad", folder, out, TaskOptions(split="train"))
    assert [query.text for query in task.queries.values()] == [
        "How deep?",
        "How long?",
        "How steep?",
    ]
    assert task.qrels == {
        "spoken-squad/q1": {"passage-000001": 1},
        "spoken-squad/q2": {"passage-000001": 1},
        "spoken-squad/q3": {"passage-000002": 1},
    }
    first, second = task.corpus.values()
    assert (first.text, samples(first.audio)) == ("", wav_bytes([3, 3, 5, 5]))
    assert samples(second.audio) == wav_bytes([9, 9])
    assert len(told) == 1, "told once, though the files are read several times"
    assert "question q4" in told[0]


def test_both_parts_of_spoken_passages(folder: Path, out: Path) -> None:
    miniature("spoken-squad", folder)
    task, _ = made("spoken-squad", folder, out, TaskOptions("train", "T2AT"))
    entry = task.corpus["passage-000001"]
    assert entry.text == "The lake is deep. It is long."
    assert samples(entry.audio) == wav_bytes([3, 3, 5, 5])


def test_recognised_text_where_there_are_no_recordings(folder: Path, out: Path) -> None:
    document = squad_document()
    document["data"][0]["paragraphs"][0]["qas"][1]["id"] = "q2"
    put_json(folder / "spoken_test-v1.1_WER44.json", document)
    options = TaskOptions("test-wer44", "T2T")
    task, told = made("spoken-squad", folder, out, options)
    assert told == []
    assert [e.text for e in task.corpus.values()] == [
        "The lake is deep. It is long.",
        "The shore is steep.",
    ]
    with pytest.raises(InputError, match=r"q1: has no recording here.*another --direction"):
        make_task("spoken-squad", folder, out, TaskOptions("test-wer44", "T2S"))


def test_the_published_spoken_squad_becomes_a_task(tmp_path: Path) -> None:
    data = os.environ.get("WAVRAG_DATA")
    if data is None:
        pytest.skip("WAVRAG_DATA names no folder with text/spoken_test-v1.1.json")
    sizes = {
        make_task("spoken-squad", Path(data) / "text", tmp_path / split, TaskOptions(split, "T2T"))
        for split in ("test", "test-wer44", "test-wer54")
    }
    assert sizes == {(5_351, 1_896)}


@pytest.mark.parametrize(
    ("direction", "asked", "found"),
    [
        ("S2S", (None, True), (None, True)),
        ("S2T", (None, True), ("über uns", False)),
        ("T2S", ("squad-1 asked", False), (None, True)),
        ("T2T", ("squad-1 asked", False), ("über uns", False)),
        ("AT2AT", ("squad-1 asked", True), ("über uns", True)),
    ],
)
def test_all_five_directions(
    direction: str, asked: tuple[Any, bool], found: tuple[Any, bool], folder: Path, out: Path
) -> None:
    miniature("slue-sqa-5", folder)
    task, told = made("slue-sqa-5", folder, out, TaskOptions("train", direction))
    query = task.queries["slue-sqa-5/squad-1"]
    (relevant,) = task.qrels[query.id]
    entry = task.corpus[relevant]
    assert (query.text or None, query.audio is not None) == asked
    assert (entry.text or None, entry.audio is not None) == found
    assert len(told) == 1
    assert "question/nq-2.wav" in told[0]


def test_a_task_of_sound_on_either_side_runs(folder: Path, out: Path) -> None:
    miniature("slue-sqa-5", folder)
    for part in ("question", "document"):
        for path in (folder / "fine-tune" / part).iterdir():
            wav(path, value=900, frames=16_000)
    task, _ = made("slue-sqa-5", folder, out, TaskOptions("train", "AT2AT"))
    (system,) = evaluate_embedder(task, "fake", ["fused"])
    assert system.metrics["recall@10"] == 1
    assert system.queries_without_hits == 0


def test_descriptions_to_sounds_and_back(folder: Path, out: Path) -> None:
    miniature("clotho", folder)
    task, _ = made("clotho", folder, out, TaskOptions("train"))
    assert len(task.queries) == 10
    assert all(entry.audio and not entry.text for entry in task.corpus.values())
    assert [len(judged) for judged in task.qrels.values()] == [1] * 10
    back, _ = made("clotho", folder, out, TaskOptions("train", "S2T"))
    assert len(back.queries) == 2
    assert all(query.audio and not query.text for query in back.queries.values())
    assert [len(judged) for judged in back.qrels.values()] == [5, 5]
    first, _ = back.qrels.values()
    assert {back.corpus[id].text for id in first} == {f"Été à Nîmes.wav {n}" for n in range(1, 6)}


def test_sounds_with_scattered_descriptions(folder: Path, out: Path) -> None:
    lines = ["audiocap_id,youtube_id,start_time,caption", "1,aa,0,A", "2,bb,0,B", "3,aa,0,C"]
    put(folder / "test.csv", "\n".join(lines) + "\n")
    a, b = wav(folder / "audio" / "test" / "aa.wav"), wav(folder / "audio" / "test" / "bb.wav", 2)
    task, told = made("audiocaps", folder, out)
    assert told == []
    assert [query.text for query in task.queries.values()] == ["A", "C", "B"]
    assert [entry.audio for entry in task.corpus.values()] == [a, b]
    back, _ = made("audiocaps", folder, out, TaskOptions(direction="S2T"))
    assert sorted(map(len, back.qrels.values())) == [1, 2]


def test_questions_of_people_to_passages(folder: Path, out: Path) -> None:
    miniature("heysquad", folder)
    task, told = made("heysquad", folder, out, TaskOptions("train"))
    assert {id: samples(query.audio) for id, query in task.queries.items()} == {
        "heysquad/q1": wav_bytes([3]),
        "heysquad/q4": wav_bytes([7]),
    }
    assert [entry.text for entry in task.corpus.values()] == ["The lake is deep."]
    assert len(told) == 2


def test_squtr_at_every_level_of_noise(folder: Path, out: Path) -> None:
    squtr(folder)
    clean, told = made("squtr", folder, out)
    assert told == [f"{folder}/corpus.jsonl: empty entries: 1 left out"]
    assert list(clean.corpus) == ["3", "4", "6"]
    assert clean.corpus["4"].title == "Funds"
    assert clean.qrels == {"4641": {"3": 1, "4": 2}, "5503": {"6": 1}}
    assert clean.queries["4641"].audio == str(folder / "audio_clean" / "4641.wav")
    assert clean.queries["4641"].text == ""
    noisy, _ = made("squtr", folder, out, TaskOptions("snr-0", "AT2T"))
    query = noisy.queries["5503"]
    assert query.audio == str(folder / "audio_noise_snr_0" / "noise_snr0_5503.wav")
    assert query.text == "What pays?"
    written, _ = made("squtr", folder, out, TaskOptions(direction="T2T"))
    assert {query.audio for query in written.queries.values()} == {None}
    with pytest.raises(
        InputError, match=r"no queries_with_audio_noise_snr_20.jsonl \(the folder of"
    ):
        make_task("squtr", folder, out, TaskOptions("snr-20"))


def test_squtr_with_judgements_as_beir_has_them(folder: Path, out: Path) -> None:
    squtr(folder)
    (folder / "qrels" / "test.jsonl").unlink()
    put(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\n5503\t6\t1\n7\t99\t1\n")
    task, told = made("squtr", folder, out)
    assert task.qrels == {"5503": {"6": 1}}
    assert "queries without a relevant entry in the corpus: 1 left out" in told


def test_squtr_tells_of_a_recording_that_is_not_there(folder: Path, out: Path) -> None:
    squtr(folder)
    (folder / "audio_clean" / "4641.wav").unlink()
    with pytest.raises(InputError, match=r"no sound file audio_clean/4641\.wav in"):
        make_task("squtr", folder, out)


@pytest.mark.parametrize("indexed", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_svq_of_a_locale(indexed: bool, nested: bool, folder: Path, out: Path) -> None:
    svq(folder, indexed=indexed, nested=nested)
    task, told = made("svq", folder, out)
    assert {id: samples(query.audio) for id, query in task.queries.items()} == {
        "utt_1": wav_bytes([1] * 4),
        "utt_2": wav_bytes([2] * 4),
    }
    assert task.qrels == {"utt_1": {"english-1": 1}, "utt_2": {"english-2": 1}}
    assert len(task.corpus) == 3, "passages of all languages are searched, as MSEB does"
    assert told == ["queries without a relevant entry in the corpus: 1 left out"]


def test_svq_in_one_environment_and_in_words(folder: Path, out: Path) -> None:
    svq(folder)
    task, _ = made("svq", folder, out, TaskOptions("en_us:traffic_noise", "AT2T"))
    assert {id: query.text for id, query in task.queries.items()} == {"utt_2": "What is utt_2?"}
    shutil.rmtree(folder / "audio")
    task, _ = made("svq", folder, out, TaskOptions("fi_fi", "T2T"))
    assert list(task.queries) == ["utt_3"]
    with pytest.raises(InputError, match=r"no audio/utts_en_us_clean.parquet in .*ArrayRecord"):
        make_task("svq", folder, out, on_note=print)
    (folder / "utt_index.jsonl").unlink()
    with pytest.raises(InputError, match=r"has no utt_index\.jsonl and no audio/\*\.parquet"):
        make_task("svq", folder, out, on_note=print)


def test_svq_as_parquet(folder: Path, out: Path) -> None:
    svq(folder)
    for name in ("passage_retrieval_in_lang", "passage_retrieval_in_lang_index"):
        path = folder / f"{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        put_parquet(path.with_suffix(".parquet"), rows)
        path.unlink()
    task, _ = made("svq", folder, out, TaskOptions("en_us:clean"))
    assert list(task.queries) == ["utt_1"]


def long_squad(folder: Path, questions: int = 12) -> Path:
    paragraphs = [
        {
            "context": f"Passage {n} about number {n}.",
            "qas": [{"id": f"q{n}", "question": f"What is {n}?", "answers": [{"text": "x"}]}],
        }
        for n in range(questions)
    ]
    put_json(folder / "dev-v1.1.json", {"data": [{"title": "A", "paragraphs": paragraphs}]})
    return folder


def test_a_draw_keeps_what_is_judged_and_the_order(folder: Path, out: Path) -> None:
    long_squad(folder)
    task, _ = made("squad", folder, out, TaskOptions(limit=4, passages=6, seed=1))
    assert len(task.queries) == 4
    assert len(task.corpus) == 6
    numbers = [int(id.rpartition("q")[2]) for id in task.queries]
    assert numbers == sorted(numbers)
    assert list(task.corpus) == sorted(task.corpus)
    for id, judged in task.qrels.items():
        assert [task.corpus[entry].text.split()[1] for entry in judged] == [id.rpartition("q")[2]]
    again, _ = made("squad", folder, out.with_name("again"), TaskOptions(None, None, 4, 6, 1))
    other, _ = made("squad", folder, out.with_name("other"), TaskOptions(None, None, 4, 6, 2))
    assert (list(again.queries), list(again.corpus)) == (list(task.queries), list(task.corpus))
    assert list(other.queries) != list(task.queries)
    for name in ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv", "provenance.json"):
        assert (out / name).read_bytes() == (out.with_name("again") / name).read_bytes()
    assert json.loads((out / "provenance.json").read_text("utf-8"))["limit"] == 4


def test_passages_that_are_too_few_are_refused(folder: Path, out: Path) -> None:
    long_squad(folder)
    with pytest.raises(InputError, match="--passages 3: the queries are judged on 5 passages"):
        make_task("squad", folder, out, TaskOptions(limit=5, passages=3))


def test_what_cannot_be_made_is_told(folder: Path, out: Path) -> None:
    with pytest.raises(InputError, match="no task is made of 'imagenet': choose from squtr"):
        make_task("imagenet", folder, out)
    with pytest.raises(InputError, match="clotho has no split 'x': choose from test, dev, train"):
        make_task("clotho", folder, out, TaskOptions("x"))
    with pytest.raises(InputError, match="clotho has no direction 'T2T': choose from T2S, S2T"):
        make_task("clotho", folder, out, TaskOptions(direction="T2T"))
    with pytest.raises(InputError, match="is no folder: name the one that clotho"):
        make_task("clotho", folder / "nowhere", out)
    with pytest.raises(InputError, match=r"lies within .* which is only read"):
        make_task("clotho", folder, folder / "task")
    with pytest.raises(InputError, match=r"has no clotho_captions_evaluation.csv"):
        make_task("clotho", folder, out)
    with pytest.raises(InputError, match=r"has no test.csv.*get it at https://audiocaps"):
        make_task("audiocaps", folder, out)
    squtr(folder)
    put_lines(folder / "qrels" / "test.jsonl", [{"query-id": "7", "corpus-id": "3", "score": 0}])
    with pytest.raises(InputError, match="no query has a relevant entry in the corpus"):
        make_task("squtr", folder, out)


# Mixtures

FAKE = [load_speaker("fake")]


@pytest.fixture
def texts(folder: Path) -> Task:
    """Twelve questions, each to a passage of its own, and eight passages beside."""
    numbers = range(20)
    put_lines(
        folder / "corpus.jsonl",
        [{"_id": f"p{n}", "title": "Title", "text": f"Passage about\nunit {n}."} for n in numbers],
    )
    put_lines(folder / "queries.jsonl", [{"_id": f"q{n}", "text": f"unit {n}"} for n in range(12)])
    lines = ["query-id\tcorpus-id\tscore", *(f"q{n}\tp{n}\t1" for n in range(12))]
    put(folder / "qrels" / "test.tsv", "\n".join(lines) + "\n")
    return load_task(folder)


@pytest.mark.parametrize(("ratio", "right", "others"), [(0.0, 0, 0), (0.5, 6, 4), (1.0, 12, 8)])
def test_the_ratio_holds_among_facts_and_distractors(
    ratio: float, right: int, others: int, texts: Task, out: Path
) -> None:
    assert make_mixed_task(texts, out, FAKE, MixOptions(ratio)) == (12, 20)
    task = load_task(out)
    relevant = {id for judged in task.qrels.values() for id in judged}
    heard = {id for id, entry in task.corpus.items() if entry.audio is not None}
    assert (len(heard & relevant), len(heard - relevant)) == (right, others)
    assert list(task.corpus) == list(texts.corpus)
    for id, entry in task.corpus.items():
        assert entry.title == ""
        assert entry.text == ("" if id in heard else texts.corpus[id].text)
    assert task.qrels == texts.qrels
    assert {query.text for query in task.queries.values()} == {f"unit {n}" for n in range(12)}
    provenance = json.loads((out / "provenance.json").read_text("utf-8"))
    assert (provenance["recordings"], provenance["texts"]) == (right + others, 20 - right - others)
    assert provenance["engines"] == ["fake 1"]


def test_a_mixture_is_the_same_again_and_its_recordings_are_reused(texts: Task, out: Path) -> None:
    options = MixOptions(0.5, limit=6, passages=10, seed=3)
    assert make_mixed_task(texts, out, FAKE, options) == (6, 10)
    before = {path: path.stat().st_mtime_ns for path in out.glob("spoken/audio/*/*.wav")}
    files = ("corpus.jsonl", "queries.jsonl", "qrels/test.tsv")
    first = [(out / name).read_bytes() for name in files]
    assert make_mixed_task(texts, out, FAKE, options) == (6, 10)
    assert [(out / name).read_bytes() for name in files] == first
    assert {path: path.stat().st_mtime_ns for path in out.glob("spoken/audio/*/*.wav")} == before
    make_mixed_task(texts, out, FAKE, MixOptions(0.5, 6, 10, seed=4))
    assert [(out / name).read_bytes() for name in files] != first


def test_a_recording_that_is_there_is_used(folder: Path, out: Path) -> None:
    own = wav(folder / "own.wav", 5)
    put_lines(
        folder / "corpus.jsonl",
        [{"_id": "a", "text": "Words of a.", "audio": "own.wav"}, {"_id": "b", "text": "Of b."}],
    )
    put_lines(folder / "queries.jsonl", [{"_id": "q", "text": "a"}])
    put(folder / "qrels" / "test.tsv", "query-id\tcorpus-id\tscore\nq\ta\t1\n")
    make_mixed_task(load_task(folder), out, FAKE, MixOptions(1.0))
    task = load_task(out)
    assert task.corpus["a"].audio == own
    assert Path(str(task.corpus["b"].audio)).is_relative_to(out / "spoken")
    make_mixed_task(load_task(folder), out, FAKE, MixOptions(0.0))
    assert [entry.text for entry in load_task(out).corpus.values()] == ["Words of a.", "Of b."]


def test_what_cannot_be_mixed_is_told(texts: Task, folder: Path, out: Path) -> None:
    with pytest.raises(InputError, match=r"a ratio of 1\.5: give one from 0 to 1"):
        make_mixed_task(texts, out, FAKE, MixOptions(1.5))
    put_lines(folder / "corpus.jsonl", [{"_id": f"p{n}", "text": f"{n}."} for n in range(12)])
    with pytest.raises(InputError, match="no text could be spoken; record 'p0'"):
        make_mixed_task(load_task(folder), out, FAKE, MixOptions(1.0))
    wav(folder / "own.wav")
    put_lines(folder / "corpus.jsonl", [{"_id": f"p{n}", "audio": "own.wav"} for n in range(12)])
    with pytest.raises(InputError, match="has no words, and a ratio below 1 needs them"):
        make_mixed_task(load_task(folder), out, FAKE, MixOptions(0.0))


# The command


def test_the_command_makes_a_task(
    folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    squtr(folder)
    assert main(["tasks", "squtr", "--from", str(folder), "--out", str(out), "--limit", "1"]) == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("task: 1 query, 3 passages\n")
    assert captured.err == f"left out: {folder}/corpus.jsonl: empty entries: 1 left out\n"
    arguments = ["--split", "snr-0", "--direction", "AT2T", "--passages", "3", "--json"]
    assert main(["tasks", "squtr", "--from", str(folder), "--out", str(out), *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    figures = json.loads(captured.out)
    assert (figures["queries"], figures["passages"]) == (2, 3)
    assert len(figures["left_out"]) == 1


def test_the_command_mixes(
    texts: Task, folder: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--engine", "fake", "--ratio", "0.25", "--limit", "8", "--passages", "12"]
    assert main(["tasks", "mixed", "--from", str(folder), "--out", str(out), *arguments]) == 0
    assert capsys.readouterr().out.endswith("task: 8 queries, 12 passages\n")
    heard = [entry for entry in load_task(out).corpus.values() if entry.audio]
    assert len(heard) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["squtr", "--ratio", "0.5"], "--ratio is only for mixed"),
        (["mixed", "--split", "test"], "--split is not for mixed"),
        (["squtr", "--limit", "0"], "--limit: 0 is not a whole number of at least 1"),
    ],
)
def test_options_that_make_no_sense(
    arguments: list[str], message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ["--from", str(folder), "--out", str(folder.parent / "task")]
    assert main(["tasks", *arguments, *where]) == 2
    assert message in capsys.readouterr().err
