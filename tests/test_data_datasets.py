from __future__ import annotations

import json
import os
import re
import sys
import tracemalloc
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from dataset_fixtures import (
    MINIATURES,
    Miniature,
    hotpotqa_records,
    hotpotqa_rows,
    put,
    put_json,
    put_rows,
    squad_document,
    wav,
    wav_bytes,
    words,
)
from wavrag.audio import load
from wavrag.data.datasets import (
    DATASETS,
    find_noise_files,
    read_dataset,
    read_dataset_rows,
    store_sounds,
    stream_noise_files,
)
from wavrag.data.records import Content, TrainingRecord, read_records, write_records
from wavrag.errors import InputError, MissingExtraError

every = pytest.mark.parametrize("mini", MINIATURES, ids=lambda mini: mini.name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a space and accents in its name."""
    path = tmp_path / "Daten für später é"
    path.mkdir()
    return path


def test_every_data_set_has_a_miniature() -> None:
    assert {mini.name for mini in MINIATURES} == set(DATASETS)
    assert {each.direction for each in DATASETS.values()} == {"S2T", "T2T", "S2S", "T2S", "AT2AT"}


@every
def test_it_is_read_and_what_is_broken_is_told(mini: Miniature, folder: Path) -> None:
    records, notes = mini.write(folder)
    told: list[str] = []
    assert list(read_dataset(mini.name, folder, on_note=told.append)) == records
    assert told == notes
    assert {record.direction for record in records} == set(mini.directions)
    assert {record.source for record in records} == {mini.name}
    assert len({record.id for record in records}) == len(records)


@every
def test_without_a_note_what_is_broken_is_an_error(mini: Miniature, folder: Path) -> None:
    _, notes = mini.write(folder)
    with pytest.raises(InputError) as error:
        list(read_dataset(mini.name, folder))
    assert str(error.value) == notes[0]


@every
def test_a_missing_file_is_named_at_once(mini: Miniature, folder: Path) -> None:
    with pytest.raises(InputError) as error:
        read_dataset(mini.name, folder)
    message = str(error.value)
    assert str(folder) in message
    assert mini.wanted in message
    assert DATASETS[mini.name].layout in message
    assert DATASETS[mini.name].page in message


@every
def test_every_split_has_its_own_files(mini: Miniature, folder: Path) -> None:
    for split in DATASETS[mini.name].splits:
        with pytest.raises(InputError, match="has no "):
            read_dataset(mini.name, folder, split=split)


def test_the_page_has_a_line_for_every_data_set() -> None:
    page = Path(__file__).parent.parent / "docs" / "datasets.md"
    rows = [line for line in page.read_text("utf-8").splitlines() if line.startswith("| [`")]
    assert rows == [
        f"| [`{each.name}`]({each.page}) | {each.direction} | {', '.join(each.splits)} "
        f"| {each.layout} | {each.licence} |"
        for each in DATASETS.values()
    ]


def test_the_example_of_the_page_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (Path(__file__).parent.parent / "docs" / "datasets.md").read_text("utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    for name, root in (("spoken-squad", "downloads/spoken-squad"), ("squad", "downloads/squad")):
        (folder / root).mkdir(parents=True)
        next(mini for mini in MINIATURES if mini.name == name).write(folder / root)
    wav(folder / "downloads" / "musan" / "noise" / "n.wav")
    monkeypatch.chdir(folder)
    exec(example, {})
    assert len(list(read_records("records/spoken-squad.jsonl"))) == 3
    assert len(list(read_records("records/squad.jsonl"))) == 2


def test_unknown_names_splits_and_folders_are_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="no data set 'imagenet': choose from hotpotqa, quora"):
        read_dataset("imagenet", folder)
    with pytest.raises(InputError, match="quora has no split 'test': choose from train"):
        read_dataset("quora", folder, split="test")
    with pytest.raises(InputError, match="is no folder: name the one that squad was unpacked in"):
        read_dataset("squad", folder / "nowhere")


@pytest.mark.parametrize("name", ["clotho", "audioset-strong", "hotpotqa"])
def test_records_of_files_go_into_a_file_of_records(name: str, folder: Path) -> None:
    mini = next(mini for mini in MINIATURES if mini.name == name)
    records, _ = mini.write(folder)
    path = folder / "records.jsonl"
    write_records(path, read_dataset(name, folder, on_note=lambda message: None))
    assert list(read_records(path)) == records


def test_sound_in_memory_is_stored_once_for_a_file_of_records(folder: Path) -> None:
    records, _ = next(mini for mini in MINIATURES if mini.name == "spoken-squad").write(folder)
    sounds, path = folder / "out" / "sounds", folder / "out" / "records.jsonl"
    write_records(path, store_sounds(records, sounds))
    first, second, third = (record.positives[0] for record in read_records(path))
    assert first == second != third
    assert first.transcript == "The lake is deep. It is long."
    assert Path(str(first.audio)).read_bytes() == records[0].positives[0].audio
    assert sorted(file.suffix for file in sounds.rglob("*.*")) == [".wav", ".wav"]
    assert load(str(third.audio)).samples.size == 2


def test_squad_2_leaves_out_what_has_no_answer(folder: Path) -> None:
    document = squad_document()
    first, second = document["data"][0]["paragraphs"][0]["qas"]
    second |= {"id": "q2", "is_impossible": True, "answers": [], "plausible_answers": [{}]}
    first["is_impossible"] = False
    path = put_json(folder / "dev-v2.0.json", document)
    told: list[str] = []
    records = list(read_dataset("squad", folder, split="dev", on_note=told.append))
    assert [record.id for record in records] == ["squad/q1", "squad/q3"]
    assert told == [f"{path}: questions without an answer: 1 left out"]


def test_a_broken_article_or_paragraph_does_not_move_the_numbers(folder: Path) -> None:
    document = squad_document()
    paragraphs = document["data"][0]["paragraphs"]
    del paragraphs[0]["qas"]
    document["data"].insert(0, {"title": "Empty"})
    path = put_json(folder / "spoken_test-v1.1.json", document)
    wav(folder / "dev_wav" / "1_2_0.wav", 4, frames=3)
    told: list[str] = []
    (record,) = read_dataset("spoken-squad", folder, split="test", on_note=told.append)
    assert record.positives[0].audio == wav_bytes([4, 4, 4])
    assert told == [
        f"{path}: record 1 (Empty): no key 'paragraphs'",
        f"{path}: record 2 (Zürich_See), paragraph 1: no key 'qas'",
    ]


def test_spoken_squad_without_recordings_is_the_recognised_text(folder: Path) -> None:
    put_json(folder / "spoken_test-v1.1_WER54.json", squad_document())
    told: list[str] = []
    records = list(read_dataset("spoken-squad", folder, split="test-wer54", on_note=told.append))
    assert records[0] == TrainingRecord(
        "spoken-squad/q1",
        Content(text="How deep?"),
        words("The lake is deep. It is long."),
        source="spoken-squad",
    )
    assert len(records) == 2


@pytest.mark.parametrize("content", [None, b"", b"RIFF", b"no sound at all"])
def test_a_passage_without_a_first_sentence_breaks_only_its_questions(
    content: bytes | None, folder: Path
) -> None:
    put_json(folder / "spoken_test-v1.1.json", squad_document())
    wav(folder / "dev_wav" / "0_2_0.wav")
    broken = folder / "dev_wav" / "0_0_0.wav"
    if content is not None:
        broken.write_bytes(content)
    told: list[str] = []
    records = list(read_dataset("spoken-squad", folder, split="test", on_note=told.append))
    assert [record.id for record in records] == ["spoken-squad/q3"]
    assert f"question q1: {broken} cannot be read: " in told[0]


def test_sentences_of_different_rates_are_not_joined(folder: Path) -> None:
    put_json(folder / "spoken_test-v1.1.json", squad_document())
    wav(folder / "dev_wav" / "0_0_0.wav")
    wav(folder / "dev_wav" / "0_0_1.wav", rate=8_000)
    wav(folder / "dev_wav" / "0_2_0.wav")
    told: list[str] = []
    records = list(read_dataset("spoken-squad", folder, split="test", on_note=told.append))
    assert [record.id for record in records] == ["spoken-squad/q3"]
    assert "0_0_1.wav has another rate or number of channels than" in told[0]


def test_the_published_spoken_squad_is_read_whole() -> None:
    data = os.environ.get("WAVRAG_DATA")
    if data is None:
        pytest.skip("WAVRAG_DATA names no folder with text/spoken_test-v1.1.json")
    records = list(read_dataset("spoken-squad", Path(data) / "text", split="test"))
    assert len(records) == len({record.id for record in records}) == 5_351
    # 171 of the 2,067 passages have no question, and one text stands for some of the rest.
    assert 1_800 < len({record.positives[0].text for record in records}) <= 2_067 - 171


def test_captions_of_a_clip_are_gathered_from_scattered_lines(folder: Path) -> None:
    lines = [["1", "aa", "0", "A"], ["2", "bb", "0", "B"], ["3", "aa", "0", "C"]]
    header = ["audiocap_id", "youtube_id", "start_time", "caption"]
    put_rows(folder / "val.csv", [header, *lines])
    a, b = wav(folder / "audio" / "val" / "aa.flac"), wav(folder / "audio" / "val" / "bb_0.wav")
    records = list(read_dataset("audiocaps", folder, split="dev"))
    assert [(each.id, each.query.text, each.positives) for each in records] == [
        ("audiocaps/1-1", "A", (Content(text="C", audio=a),)),
        ("audiocaps/1-2", "C", (Content(text="A", audio=a),)),
        ("audiocaps/2", "B", (Content(audio=b),)),
    ]


def test_the_other_split_of_a_list_with_both(folder: Path) -> None:
    next(mini for mini in MINIATURES if mini.name == "musiccaps").write(folder)
    wav(folder / "audio" / "-0vPF.wav")
    records = list(read_dataset("musiccaps", folder, split="test"))
    assert [record.query.text for record in records] == ["For the test.", "piano"]


@pytest.mark.parametrize("part", ["verified-test", "verified_test"])
def test_the_verified_test_of_slue_by_either_name(part: str, folder: Path) -> None:
    put_rows(folder / f"slue-sqa5_{part}.tsv", [["question_id", "document_id"], ["q", "d"]], "\t")
    question = wav(folder / part / "question" / "q.wav")
    document = wav(folder / part / "document" / "d.wav")
    (record,) = read_dataset("slue-sqa-5", folder, split="verified-test")
    assert record.query == Content(audio=question)
    assert record.positives == (Content(audio=document),)


def test_triples_of_ms_marco_give_negatives(folder: Path) -> None:
    count = 20
    lines = "".join(f"{number}\tpassage {number}\n" for number in reversed(range(count)))
    put(folder / "collection.tsv", lines + "no number\n")
    put(folder / "queries.train.tsv", "5\tfive\n6\tsix\n")
    triples = [f"5\t0\t{number}" for number in range(1, count)] + ["5\t1\t2", "6\t3\t4"]
    put(folder / "qidpidtriples.train.full.2.tsv", "\n".join(triples) + "\n")
    told: list[str] = []
    five, six = read_dataset("msmarco", folder, on_note=told.append)
    assert five.positives == words("passage 0", "passage 1")
    # Passages 2 to 19 are negatives, 1 is a positive; the first sixteen are taken.
    assert five.negatives == words(*(f"passage {number}" for number in range(2, 18)))
    assert (six.id, six.positives) == ("msmarco/6-3", words("passage 3"))
    assert told == [f"{folder}/collection.tsv:21: not a number, a tab and a text"]


def test_passages_that_are_judged_not_relevant_are_no_positives(folder: Path) -> None:
    put(folder / "collection.tsv", "0\tA\n1\tB\n")
    put(folder / "queries.dev.tsv", "5\tfive\n6\tsix\n")
    path = put(folder / "qrels.dev.small.tsv", "5\t0\t0\t0\n5\t0\t1\t1\n6\t0\t1\t0\n")
    told: list[str] = []
    (record,) = read_dataset("msmarco", folder, split="dev", on_note=told.append)
    assert record.positives == words("B")
    assert told == [f"{path}: queries without a relevant passage: 1 left out"]


def test_a_json_document_that_breaks_off_gives_what_is_whole(folder: Path) -> None:
    path = put_json(folder / "hotpot_train_v1.1.json", hotpotqa_rows())
    path.write_text(path.read_text("utf-8")[:-20], encoding="utf-8")
    told: list[str] = []
    records = list(read_dataset("hotpotqa", folder, on_note=told.append))
    assert records == hotpotqa_records()[:1]
    assert told[-1].startswith(f"{path}: cannot be read after record 2: ")


@pytest.mark.parametrize("content", ["[]", "{}", '{"data": {}}'])
def test_a_json_document_of_another_kind_is_told(content: str, folder: Path) -> None:
    path = put(folder / "train-v1.1.json", content)
    with pytest.raises(InputError, match="no records under 'data'"):
        list(read_dataset("squad", folder))
    assert path.exists()


def test_a_missing_parser_names_the_extra(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_json(folder / "train-v1.1.json", squad_document())
    monkeypatch.setitem(sys.modules, "ijson", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'wavrag\[train\]'"):
        list(read_dataset("squad", folder))


def test_names_that_lead_out_of_the_folder_are_not_followed(folder: Path) -> None:
    wav(folder.parent / "secret.wav")
    put_rows(
        folder / "train.csv",
        [["audiocap_id", "youtube_id", "start_time", "caption"], ["1", "../secret", "0", "A"]],
    )
    with pytest.raises(InputError, match="no sound file"):
        list(read_dataset("audiocaps", folder))


def test_a_table_of_another_kind_is_told(folder: Path) -> None:
    path = put(folder / "train.csv", "id,caption\n1,A\n")
    with pytest.raises(InputError) as error:
        list(read_dataset("audiocaps", folder, on_note=print))
    assert str(error.value) == f"{path}:1: no column 'audiocap_id': is it another file?"


def test_bytes_that_are_not_utf_8_break_only_their_line(folder: Path) -> None:
    lines = [b'{"id": "a", "input": "A?", "output": [{"answer": "x"}]}'] * 3
    lines[1] = lines[1].replace(b"A?", b"\xff?")
    path = folder / "eli5-dev-kilt.jsonl"
    path.write_bytes(b"\n".join(lines))
    told: list[str] = []
    assert len(list(read_dataset("eli5", folder, split="dev", on_note=told.append))) == 2
    assert told == [f"{path}:2: not UTF-8"]


def test_an_open_quote_does_not_swallow_a_table(folder: Path) -> None:
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    line = "{0}\t{0}\t0\tWhy {0}?\tFor what {0}?\t1\n"
    whole = [line.format(number) for number in range(1, 10_000)]
    whole.insert(1, '1\t1\t0\t"Open\tquote\t1\n')
    path = put(folder / "quora_duplicate_questions.tsv", header + "".join(whole))
    told: list[str] = []
    records = list(read_dataset("quora", folder, on_note=told.append))
    assert records[-1].id == "quora/9999"
    assert told == [f"{path}:3: field larger than field limit (131072)"]


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("hotpotqa", []),
        ("hotpotqa", {"_id": "a", "question": "?", "supporting_facts": [1], "context": []}),
        ("hotpotqa", {"_id": "a", "question": "?", "supporting_facts": [], "context": [["a"]]}),
        ("triviaqa", {"QuestionId": "a", "Question": "?", "Answer": None, "EntityPages": []}),
        ("triviaqa", {"QuestionId": "a", "Question": "?", "Answer": {"Value": "x"}}),
        ("xeno-canto", {"id": "1", "gen": "A", "sp": None, "en": "", "type": ""}),
    ],
)
def test_values_of_another_type_break_only_their_record(name: str, row: Any, folder: Path) -> None:
    document, under = {
        "hotpotqa": ("hotpot_train_v1.1.json", ""),
        "triviaqa": ("wikipedia-train.json", "Data"),
        "xeno-canto": ("page1.json", "recordings"),
    }[name]
    put_json(folder / document, {under: [row, row]} if under else [row, row])
    told: list[str] = []
    assert list(read_dataset(name, folder, on_note=told.append)) == []
    assert told


def test_rows_of_the_datasets_library() -> None:
    datasets = pytest.importorskip("datasets")
    rows = [
        {"id": "q1", "title": "T", "context": "C", "question": "Q?", "answers": answers}
        for answers in ({"text": ["a"], "answer_start": [0]}, {"text": [], "answer_start": []})
    ]
    told: list[str] = []
    records = list(
        read_dataset_rows("squad", datasets.Dataset.from_list(rows), on_note=told.append)
    )
    assert records == [TrainingRecord("squad/q1", Content(text="Q?"), words("C"), source="squad")]
    assert told == ["squad: rows without an answer: 1 left out"]


def test_sound_of_the_datasets_library_stays_encoded(folder: Path) -> None:
    datasets = pytest.importorskip("datasets")
    asked, answered = wav_bytes([1, 2]), wav(folder / "document é.wav")
    rows = [
        {
            "question_id": "nq-1",
            "question_audio": {"bytes": asked, "path": "nq-1.wav"},
            "document_audio": {"bytes": None, "path": answered},
            "raw_question_text": "Who?",
            "normalized_question_text": "who",
            "raw_document_text": "He.",
        }
    ]
    table = datasets.Dataset.from_list(rows)
    for column in ("question_audio", "document_audio"):
        table = table.cast_column(column, datasets.Audio())
    expected = TrainingRecord(
        "slue-sqa-5/nq-1",
        Content(audio=asked, transcript="who"),
        (Content(audio=answered, transcript="He."),),
        source="slue-sqa-5",
    )
    assert list(read_dataset_rows("slue-sqa-5", table)) == [expected]
    assert list(read_dataset_rows("slue-sqa-5", table.to_iterable_dataset())) == [expected]
    assert list(read_dataset_rows("slue-sqa-5", rows)) == [expected]


def test_rows_that_differ_from_the_files() -> None:
    hotpot = [
        {
            "id": row["_id"],
            "question": row["question"],
            "supporting_facts": {
                "title": [title for title, _ in row["supporting_facts"]],
                "sent_id": [number for _, number in row["supporting_facts"]],
            },
            "context": {
                "title": [title for title, _ in row["context"]],
                "sentences": [sentences for _, sentences in row["context"]],
            },
        }
        for row in hotpotqa_rows()
    ]
    told: list[str] = []
    assert list(read_dataset_rows("hotpotqa", hotpot, on_note=told.append)) == hotpotqa_records()
    assert told == ["hotpotqa: row 2: a supporting paragraph is not in the context"]

    pair = {"questions": {"id": [1, 2], "text": ["Why?", "For what?"]}, "is_duplicate": True}
    assert list(read_dataset_rows("quora", [pair, pair | {"is_duplicate": False}])) == [
        TrainingRecord("quora/1-2", Content(text="Why?"), words("For what?"), source="quora")
    ]

    long = "Suvorov crossed it " + "with men and mules " * 5
    trivia = {
        "question_id": "tc_1",
        "question": "Who?",
        "answer": {"value": "Suvorov", "aliases": []},
        "entity_pages": {"title": ["River"], "wiki_context": [f"River\n{long}"]},
    }
    assert list(read_dataset_rows("triviaqa", [trivia])) == [
        TrainingRecord(
            "triviaqa/tc_1", Content(text="Who?"), words(f"River\n{long.strip()}"), (), "triviaqa"
        )
    ]


def test_sets_that_have_no_rows_say_how_they_are_read() -> None:
    with pytest.raises(InputError, match="clotho is read from its files, with `read_dataset`"):
        read_dataset_rows("clotho", [])


def test_musan_gives_its_files_by_kind(folder: Path) -> None:
    for name in ("music/fma/m-0.wav", "noise/free-sound/n-0.wav", "noise/sound bible/ñ-1.wav"):
        wav(folder / name)
    put(folder / "noise" / "free-sound" / "ANNOTATIONS", "n-0 rain\n")
    files = find_noise_files(folder, ("music", "noise"))
    assert files == {
        "music": [folder / "music/fma/m-0.wav"],
        "noise": [folder / "noise/free-sound/n-0.wav", folder / "noise/sound bible/ñ-1.wav"],
    }
    with pytest.raises(InputError, match="has no sound in speech/"):
        find_noise_files(folder)
    with pytest.raises(InputError, match="MUSAN has no 'rain': choose from music, noise, speech"):
        stream_noise_files(folder, ("rain",))


def test_noise_comes_once_a_round_in_the_order_of_its_seed(folder: Path) -> None:
    for number in range(8):
        wav(folder / "noise" / f"{number}.wav")
    files = set(find_noise_files(folder, ("noise",))["noise"])

    def rounds(seed: int) -> list[list[Path]]:
        stream = stream_noise_files(folder, ("noise",), seed=seed)
        return [list(islice(stream, 8)) for _ in range(3)]

    first, second, third = rounds(1)
    assert set(first) == set(second) == set(third) == files
    assert len({tuple(each) for each in (first, second, third)}) == 3
    assert rounds(1) == [first, second, third]
    assert rounds(2) != [first, second, third]


def _long_squad(folder: Path, count: int) -> None:
    qas = [{"id": "q", "question": "Why?", "answers": [{"text": "a", "answer_start": 0}]}] * 50
    article = json.dumps({"title": "T", "paragraphs": [{"context": "c " * 50, "qas": qas}] * 10})
    with (folder / "train-v1.1.json").open("w") as document:
        document.write('{"version": "1.1", "data": [' + article)
        document.writelines("," + article for _ in range(count // 500 - 1))
        document.write("]}")


def _long_quora(folder: Path, count: int) -> None:
    with (folder / "quora_duplicate_questions.tsv").open("w") as lines:
        lines.write("id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n")
        lines.writelines(f"{n}\t{n}\t0\tWhy {n}?\tFor what {n}?\t1\n" for n in range(count))


def _long_msmarco(folder: Path, count: int) -> None:
    for name, line in (
        ("collection.tsv", "{0}\tPassage {0}, " + "and more " * 30 + "\n"),
        ("queries.train.tsv", "{0}\tquery {0}\n"),
        ("qrels.train.tsv", "{0}\t0\t{0}\t1\n"),
    ):
        with (folder / name).open("w") as lines:
            lines.writelines(line.format(number) for number in range(count))


@pytest.mark.parametrize(
    ("name", "write", "count", "megabytes"),
    [
        ("squad", _long_squad, 100_000, 2),
        ("quora", _long_quora, 100_000, 1),
        # 16 bytes a line of both files, and the room that a growing array takes while it grows.
        ("msmarco", _long_msmarco, 30_000, 3),
    ],
)
def test_memory_stays_flat(
    name: str, write: Callable[[Path, int], None], count: int, megabytes: int, folder: Path
) -> None:
    write(folder, count)
    assert sum(path.stat().st_size for path in folder.iterdir()) > 4_000_000
    tracemalloc.start()
    try:
        assert sum(1 for _ in read_dataset(name, folder)) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < megabytes * 1_000_000
