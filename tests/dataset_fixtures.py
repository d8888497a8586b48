"""Each data set in miniature, in its published layout, with a broken record in its middle."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
import wave
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wavrag.data.records import Content, TrainingRecord


@dataclass(frozen=True)
class Miniature:
    """A data set that `write` makes in a folder.

    Attributes:
        name: as in `DATASETS`.
        write: fills a folder; returns the records and the notes that reading it gives.
        wanted: the file that is missed first where it is not there.
        directions: those of the records.
    """

    name: str
    write: Callable[[Path], tuple[list[TrainingRecord], list[str]]]
    wanted: str
    directions: tuple[str, ...]


def wav(path: Path, value: int = 0, frames: int = 8, rate: int = 16_000) -> str:
    """A mono recording of one 16-bit value; returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(wav_bytes([value] * frames, rate))
    return str(path)


def wav_bytes(values: list[int], rate: int = 16_000) -> bytes:
    """A mono 16-bit WAV file."""
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(b"".join(value.to_bytes(2, "little", signed=True) for value in values))
    return file.getvalue()


def put(path: Path, content: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")
    return path


def put_json(path: Path, value: Any) -> Path:
    """A JSON document."""
    return put(path, json.dumps(value, ensure_ascii=False))


def put_rows(path: Path, rows: list[list[Any]], delimiter: str = ",") -> Path:
    """A table of text, with quotes where they are needed."""
    lines = io.StringIO()
    csv.writer(lines, delimiter=delimiter, lineterminator="\n").writerows(rows)
    return put(path, lines.getvalue())


def put_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    """A Parquet file, with the types that the values have."""
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def words(*texts: str) -> tuple[Content, ...]:
    """Entries of text."""
    return tuple(Content(text=text) for text in texts)


def hotpotqa_rows() -> list[dict[str, Any]]:
    """Three objects, the second without one of its supporting paragraphs."""
    context = [
        ["Zürich", ["Zürich is a city.", " It is in Switzerland."]],
        ["Bern", ["Bern is the capital."]],
        ["Aare", ["The Aare is a river."]],
    ]
    return [
        {
            "_id": id,
            "question": f"Question {id}?",
            "answer": "yes",
            "type": "bridge",
            "level": "easy",
            "supporting_facts": [[first, 0], ["Aare", 0], ["Aare", 1]],
            "context": context,
        }
        for id, first in (("5a1", "Zürich"), ("5a2", "Genf"), ("5a3", "Bern"))
    ]


ZURICH = "Zürich\nZürich is a city. It is in Switzerland."
BERN = "Bern\nBern is the capital."
AARE = "Aare\nThe Aare is a river."


def hotpotqa_records() -> list[TrainingRecord]:
    """Those of `hotpotqa_rows`."""
    return [
        TrainingRecord(
            "hotpotqa/5a1",
            Content(text="Question 5a1?"),
            words(ZURICH, AARE),
            words(BERN),
            "hotpotqa",
        ),
        TrainingRecord(
            "hotpotqa/5a3",
            Content(text="Question 5a3?"),
            words(BERN, AARE),
            words(ZURICH),
            "hotpotqa",
        ),
    ]


def _hotpotqa(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = put_json(folder / "hotpot_train_v1.1.json", hotpotqa_rows())
    note = f"{path}: record 2 (5a2): a supporting paragraph is not in the context"
    return hotpotqa_records(), [note]


def _quora(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = put_rows(
        folder / "quora_duplicate_questions.tsv",
        [
            ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
            ["0", "1", "2", 'What is "Größe"?', "What does\nthe word mean?", "1"],
            ["1", "1", "3", 'What is "Größe"?', "What is love?", "0"],
            ["2", "4", "5", "Why?", "For what?"],
            ["3", "6", "7", "Where?", "When?", "0"],
            ["4", "8", "9", "How old is it?", "What is its age?", "1"],
        ],
        "\t",
    )
    records = [
        TrainingRecord(
            "quora/0",
            Content(text='What is "Größe"?'),
            words("What does\nthe word mean?"),
            words("What is love?"),
            "quora",
        ),
        TrainingRecord(
            "quora/4", Content(text="How old is it?"), words("What is its age?"), (), "quora"
        ),
    ]
    return records, [
        f"{path}:5: 5 fields where 6 belong",
        f"{path}: questions without a duplicate: 1 left out",
    ]


def _eli5(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    lines = [
        {"id": "a", "input": "Why is the sky blue?", "output": [
            {"answer": "Air scatters blue.", "meta": {"score": 7}},
            {"answer": " It is Rayleigh's doing. ", "meta": {"score": 2}},
            {"provenance": [{"wikipedia_id": "1"}]},
        ]},
        "{broken",
        {"id": "b", "input": "Why?", "output": [{"provenance": []}]},
        {"id": "c", "output": [{"answer": "So."}]},
        {"id": "d", "input": "How?", "output": [{"answer": "Thus."}]},
    ]  # fmt: skip
    path = put(
        folder / "eli5-train-kilt.jsonl",
        "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines),
    )
    records = [
        TrainingRecord(
            "eli5/a",
            Content(text="Why is the sky blue?"),
            words("Air scatters blue.", "It is Rayleigh's doing."),
            source="eli5",
        ),
        TrainingRecord("eli5/d", Content(text="How?"), words("Thus."), source="eli5"),
    ]
    return records, [
        f"{path}:2: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)",
        f"{path}:4: no key 'input'",
        f"{path}: questions without answer: 1 left out",
    ]


LEAD = "The river rises in the hills and runs " + "over stones and sand " * 4 + "to the sea."
ANSWER = (
    "It was crossed by Suvorov, the general, " + "with men and mules and guns " * 3 + "in 1799."
)


def _triviaqa(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    def question(id: str, name: str, answer: str) -> dict[str, Any]:
        return {
            "Question": f"Question {id}?",
            "QuestionId": id,
            "Answer": {"Value": answer, "Aliases": [answer.upper(), "Alexander Suvorov"]},
            "EntityPages": [{"DocSource": "TagMe", "Filename": name, "Title": name[:-4]}],
            "SearchResults": [],
        }

    stored = unicodedata.normalize("NFD", "Fluß Süd.txt")
    document = f"Suvorov\n\n{LEAD}\nOn Suvorov\n{ANSWER}\n"
    put(folder / "evidence" / "wikipedia" / stored, document)
    path = put_json(
        folder / "qa" / "wikipedia-train.json",
        {
            "Data": [
                question("tc_1", "Fluß Süd.txt", "suvorov"),
                question("tc_2", "Lost.txt", "suvorov"),
                question("tc_3", "Fluß Süd.txt", "Suvo"),
                question("tc_4", "Fluß Süd.txt", "in 1799"),
            ],
            "Domain": "Wikipedia",
            "Version": 1.0,
        },
    )
    answered = words(f"Fluß Süd\n{ANSWER}"), words(f"Fluß Süd\n{LEAD}")
    records = [
        TrainingRecord(f"triviaqa/{id}", Content(text=f"Question {id}?"), *answered, "triviaqa")
        for id in ("tc_1", "tc_4")
    ]
    put(folder / "evidence" / "wikipedia" / "Empty.txt", "")
    # "Suvo" is no word of the paragraph, and no other alias of that question is in it.
    return records, [
        f"{path}: record 2 (tc_2): no evidence file {folder}/evidence/wikipedia/Lost.txt",
        f"{path}: questions without a paragraph that has the answer: 1 left out",
    ]


def squad_document(title: str = "Zürich_See") -> dict[str, Any]:
    """A document of version 1.1; the second of three questions has no id."""
    answers = [{"text": "lake", "answer_start": 2}]
    return {
        "version": "1.1",
        "data": [
            {
                "title": title,
                "paragraphs": [
                    {
                        "context": "The lake is deep. It is long.",
                        "qas": [
                            {"id": "q1", "question": "How deep?", "answers": answers},
                            {"question": "How long?", "answers": answers},
                        ],
                    },
                    {"context": "Nobody asked.", "qas": []},
                    {
                        "context": " The shore is steep. ",
                        "qas": [{"id": "q3", "question": "How steep?", "answers": answers}],
                    },
                ],
            }
        ],
    }


def _squad(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = put_json(folder / "train-v1.1.json", squad_document())
    records = [
        TrainingRecord(
            "squad/q1",
            Content(text="How deep?"),
            words("The lake is deep. It is long."),
            source="squad",
        ),
        TrainingRecord(
            "squad/q3", Content(text="How steep?"), words("The shore is steep."), source="squad"
        ),
    ]
    return records, [f"{path}: record 1 (Zürich_See), paragraph 1, question 2: no key 'id'"]


def _spoken_squad(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    document = squad_document("Lake")
    paragraphs = document["data"][0]["paragraphs"]
    paragraphs[0]["qas"][1]["id"] = "q2"
    paragraphs[1]["qas"] = [{"id": "q4", "question": "Who asked?", "answers": [{"text": "x"}]}]
    path = put_json(folder / "spoken_train-v1.1.json", document)
    sound = folder / "Spoken-SQuAD_audio" / "train_wav"
    for name, value in {"0_0_0": 3, "0_0_1": 5, "0_1_0": 7, "0_1_2": 8, "0_2_0": 9}.items():
        wav(sound / f"{name}.wav", value, frames=2)
    first = Content(audio=wav_bytes([3, 3, 5, 5]), transcript="The lake is deep. It is long.")
    last = Content(audio=wav_bytes([9, 9]), transcript="The shore is steep.")
    records = [
        TrainingRecord(
            f"spoken-squad/{id}", Content(text=question), (passage,), source="spoken-squad"
        )
        for id, question, passage in (
            ("q1", "How deep?", first),
            ("q2", "How long?", first),
            ("q3", "How steep?", last),
        )
    ]
    gap = sound / "0_1_1.wav"
    return records, [
        f"{path}: record 1 (Lake), paragraph 2, question q4: {gap} cannot be read: "
        f"[Errno 2] No such file or directory: '{gap}'"
    ]


def _heysquad(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = folder / "data" / "train-00000-of-00001.parquet"
    rows = [("q1", 3, False), ("q2", None, False), ("q3", 5, True), ("q4", 7, False)]
    put_parquet(
        path,
        [
            {
                "audio": {"bytes": None if value is None else wav_bytes([value]), "path": None},
                "transcription": f"heard {id}",
                "question": f"Question {id}?",
                "context": "The lake is deep.",
                "answers": [] if impossible else [{"answer_start": 4, "text": "lake"}],
                "is_impossible": impossible,
                "id": id,
                "plausible_answers": [{"answer_start": 4, "text": "lake"}] if impossible else [],
            }
            for id, value, impossible in rows
        ],
    )
    records = [
        TrainingRecord(
            f"heysquad/{id}",
            Content(audio=wav_bytes([value]), transcript=f"Question {id}?"),
            words("The lake is deep."),
            source="heysquad",
        )
        for id, value in (("q1", 3), ("q4", 7))
    ]
    return records, [
        f"{path}: row 2: audio is empty",
        f"{folder}: questions without an answer: 1 left out",
    ]


def _msmarco(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    put(folder / "collection.tsv", "0\tThe Ærø ferry.\n1\tA second.\n2\tA third.\n")
    put(folder / "queries.train.tsv", "30\twhat is third\n7\twhere is ærø\n")
    judged = "7\t0\t0\t1\n7\t0\t1\t1\n8\t0\t2\t1\n30\t0\n30\t0\t2\t1\n"
    path = put(folder / "qrels.train.tsv", judged)
    records = [
        TrainingRecord(
            "msmarco/7-0",
            Content(text="where is ærø"),
            words("The Ærø ferry.", "A second."),
            source="msmarco",
        ),
        TrainingRecord(
            "msmarco/30-2", Content(text="what is third"), words("A third."), source="msmarco"
        ),
    ]
    # A line is checked before the lines of the query before it are put together.
    return records, [
        f"{path}:4: 2 fields where 4 belong",
        f"{path}:3: {folder}/queries.train.tsv has no line 8",
    ]


def _slue(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    columns = (
        "question_id",
        "question_text",
        "normalized_question_text",
        "question_speaker_id",
        "document_id",
        "document_text",
        "normalized_document_text",
        "document_speaker_id",
        "answer_spans",
    )
    rows = [
        [id, f'"{id}?', f"{id} asked", "s", "Über uns_0", "D.", transcript, "t", "[]"]
        for id, transcript in (("squad-1", "über uns"), ("nq-2", "über uns"), ("trec-3", ""))
    ]
    # No quoting: a double quote is a character as any other.
    path = put(
        folder / "slue-sqa5_fine-tune.tsv",
        "".join("\t".join(row) + "\n" for row in [list(columns), *rows]),
    )
    document = wav(folder / "fine-tune" / "document" / "Über uns_0.wav")
    records = []
    for id, transcript in (("squad-1", "über uns"), ("trec-3", "D.")):
        question = wav(folder / "fine-tune" / "question" / f"{id}.wav")
        records.append(
            TrainingRecord(
                f"slue-sqa-5/{id}",
                Content(audio=question, transcript=f"{id} asked"),
                (Content(audio=document, transcript=transcript),),
                source="slue-sqa-5",
            )
        )
    return records, [f"{path}:3: no sound file fine-tune/question/nq-2.wav in {folder}"]


def _audiocaps(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = put_rows(
        folder / "train.csv",
        [
            ["audiocap_id", "youtube_id", "start_time", "caption"],
            ["91139", "r1nicOVtvkQ", "130", "A woman talks, nearby"],
            ["58146", "sDSppXIlJrs", "27", "Lost water"],
            ["80", "-xyz_", "0", "A dog barks"],
        ],
    )
    talk = wav(folder / "audio" / "train" / "91139.wav")
    dog = wav(folder / "audio" / "train" / "Y-xyz_.wav")
    records = [
        TrainingRecord(
            f"audiocaps/{id}", Content(text=text), (Content(audio=audio),), source="audiocaps"
        )
        for id, text, audio in (
            ("91139", "A woman talks, nearby", talk),
            ("80", "A dog barks", dog),
        )
    ]
    names = "58146 or sDSppXIlJrs or YsDSppXIlJrs or sDSppXIlJrs_27"
    return records, [f"{path}:3: no sound file {names} (.wav, .flac, …) in {folder}"]


def _musiccaps(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    columns = "ytid,start_s,end_s,audioset_positive_labels,aspect_list,caption,author_id"
    rows = [
        ["-0Gj8", "30", "40", "/m/04rlf", "['low quality', 'naïve']", "A song.", "4", "False"],
        ["-0SdA", "30", "40", "/m/04rlf", "['pop'", "A pop song.", "4", "False"],
        ["-0vPF", "30", "40", "/m/04rlf", "['piano']", "For the test.", "4", "True"],
        ["-0xzr", "10", "20", "/m/04rlf", "['harp']", "A harp,\nslow.", "4", "False"],
    ]
    header = [*columns.split(","), "is_audioset_eval"]
    path = put_rows(folder / "musiccaps-public.csv", [header, *rows])
    records = []
    for id, name, caption, aspects in (
        ("-0Gj8-30", "-0Gj8", "A song.", "low quality, naïve"),
        ("-0xzr-10", "[-0xzr]-[10-20]", "A harp,\nslow.", "harp"),
    ):
        audio = wav(folder / "audio" / f"{name}.wav")
        for number, (query, answer) in enumerate(((caption, aspects), (aspects, caption)), 1):
            records.append(
                TrainingRecord(
                    f"musiccaps/{id}-{number}",
                    Content(text=query),
                    (Content(text=answer, audio=audio),),
                    source="musiccaps",
                )
            )
    wav(folder / "audio" / "-0SdA.wav")
    return records, [
        f"{path}:3: aspect_list is no list of aspects",
        f"{path}: clips of the other split: 1 left out",
    ]


def _clotho(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    names = [" Été à Nîmes.wav", "Lost.wav", "Rain (1).wav"]
    rows = [[name, *(f"{name} {number}" for number in range(1, 6))] for name in names]
    header = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    path = put_rows(folder / "clotho_captions_development.csv", [header, *rows])
    records = []
    for name in (names[0], names[2]):
        audio = wav(folder / "development" / name)
        records += [
            TrainingRecord(
                f"clotho/{name.strip()}-{number}",
                Content(text=f"{name} {number}".strip()),
                (Content(text=f"{name} {number % 5 + 1}".strip(), audio=audio),),
                source="clotho",
            )
            for number in range(1, 6)
        ]
    return records, [f"{path}:3: no sound file Lost.wav (.wav, .flac, …) in {folder}"]


def _kin(
    source: str, id: str, question: str, query: Content, caption: str, positive: Content
) -> TrainingRecord:
    return TrainingRecord(
        f"{source}/{id}",
        Content(question, query.audio, query.start, query.end),
        (Content(caption, positive.audio, positive.start, positive.end),),
        source=source,
    )


def _voxceleb(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    rows = [
        ["VoxCeleb1 ID", "VGGFace1 ID", "Gender", "Nationality", "Set"],
        ["id10001", "Ada_Lovelace", "f", "UK", "dev"],
        ["id10002", "Lost_Man", "m", "USA", "dev"],
        ["id10003", "Test_Man", "m", "USA", "test"],
        ["id10004", "José_Pérez", "m", "Mexico", "dev"],
    ]
    path = put_rows(folder / "vox1_meta.csv", rows, "\t")
    ada, jose = folder / "wav" / "id10001", folder / "wav" / "id10004"
    a1 = Content(audio=wav(ada / "-Aa" / "00001.wav"))
    a2 = Content(audio=wav(ada / "-Aa" / "00002.wav"))
    b1 = Content(audio=wav(ada / "bB0" / "00001.wav"))
    c1, c2 = (Content(audio=wav(jose / "x y" / f"0000{number}.wav")) for number in (1, 2))
    who, lady, man = "Who is speaking?", "Ada Lovelace, a woman from UK", "José Pérez, a man from"
    records = [
        _kin("voxceleb", "id10001-bB0-00001", who, b1, lady, a1),
        _kin("voxceleb", "id10001--Aa-00002", who, a2, lady, b1),
        _kin("voxceleb", "id10004-x y-00002", who, c2, f"{man} Mexico", c1),
    ]
    lost = folder / "wav" / "id10002"
    return records, [
        f"{path}:3: [Errno 2] No such file or directory: '{lost}'",
        f"{path}: people of the other split: 1 left out",
    ]


def _xeno_canto(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    def recording(id: str, call: str, **more: str) -> dict[str, Any]:
        species = {"gen": "Corvus", "sp": "corax", "ssp": "", "en": "Northern Raven"}
        return {"id": id, **species, "type": call, "q": "A", "length": "0:10", **more}

    one, two = folder / "page1.json", folder / "page2.json"
    named = "XC3-Rabe – Ruf.mp3"
    first = [recording("1", "call"), recording("9", "song"), recording("2", "song, flight call")]
    second = [
        recording("5", "?", gen="Mystery", sp="mystery", en="Identity unknown"),
        recording("4", "song", sp="corone", en=""),
        recording("3", "", **{"file-name": named}),
    ]
    for page, recordings in ((one, first), (two, second)):
        put_json(page, {"numRecordings": "6", "page": 1, "recordings": recordings})
    audio = folder / "audio"
    raven = Content(audio=wav(audio / "XC1.mp3"))
    flight = Content(audio=wav(audio / "2.mp3"))
    unsaid = Content(audio=wav(audio / named))
    wav(audio / "XC4.mp3")
    ask, name = "Which species is heard?", "Northern Raven (Corvus corax)"
    records = [
        _kin("xeno-canto", "2", ask, flight, f"{name}: call", raven),
        _kin("xeno-canto", "3", ask, unsaid, f"{name}: song, flight call", flight),
    ]
    return records, [
        f"{one}: record 2 (9): no sound file XC9 or 9 (.wav, .flac, …) in {folder}",
        f"{folder}: recordings of unknown species: 1 left out",
    ]


def _audioset_strong(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    put(folder / "mid_to_display_name.tsv", '/m/1\tSpeech\n/m/2\tInside, "small" room\n')
    path = put_rows(
        folder / "audioset_train_strong.tsv",
        [
            ["segment_id", "start_time_seconds", "end_time_seconds", "label"],
            ["a_b_30000", "0.000", "1.500", "/m/1"],
            ["a_b_30000", "2.000", "6.000", "/m/1"],
            ["a_b_30000", "7.000", "7.000", "/m/2"],
            ["lost_0", "0.000", "10.000", "/m/1"],
            ["c_0", "0.000", "10.000", "/m/9"],
            ["c_0", "1.000", "3.000", "/m/1"],
            ["c_0", "0.000", "10.000", "/m/2"],
        ],
        "\t",
    )
    first = wav(folder / "audio" / "train" / "a_b_30000.wav")
    second = wav(folder / "audio" / "train" / "Yc.wav")
    records = [
        _kin(
            "audioset-strong",
            "c_0-Speech",
            "What makes this sound?",
            Content(audio=second, start=1.0, end=3.0),
            "Speech",
            Content(audio=first, start=2.0, end=6.0),
        )
    ]
    names = folder / "mid_to_display_name.tsv"
    # A line is checked before the lines of the clip before it are put together.
    return records, [
        f"{path}:4: an event from 7.0 to 7.0 s",
        f"{path}:6: label '/m/9' is not in {names}",
        f"{path}:5: no sound file lost_0 or Ylost_0 or lost or Ylost (.wav, .flac, …) in {folder}",
    ]


def _vggsound(folder: Path) -> tuple[list[TrainingRecord], list[str]]:
    path = put_rows(
        folder / "vggsound.csv",
        [
            ["--0PQM4-hqg", "30", "waterfall burbling", "train"],
            ["---g-f_I2yQ", "1", "people marching", "test"],
            ["--lost", "3", "waterfall burbling", "train"],
            ["--56QUhyDQM", "185", "child speech, kid speaking", "train"],
            ["--5OkAjCI7g", "40", "waterfall burbling", "train"],
        ],
    )
    before = Content(audio=wav(folder / "audio" / "--0PQM4-hqg_000030.wav"))
    after = Content(audio=wav(folder / "audio" / "--5OkAjCI7g.wav"))
    wav(folder / "audio" / "--56QUhyDQM_185.wav")
    what, label = "What makes this sound?", "waterfall burbling"
    names = "--lost_000003 or --lost_3 or --lost"
    return [_kin("vggsound", "--5OkAjCI7g-40", what, after, label, before)], [
        f"{path}:3: no sound file {names} (.wav, .flac, …) in {folder}",
        f"{path}: clips of the other split: 1 left out",
    ]


MINIATURES = (
    Miniature("hotpotqa", _hotpotqa, "hotpot_train_v1.1.json", ("T2T",)),
    Miniature("quora", _quora, "quora_duplicate_questions.tsv", ("T2T",)),
    Miniature("eli5", _eli5, "eli5-train-kilt.jsonl", ("T2T",)),
    Miniature("triviaqa", _triviaqa, "wikipedia-train.json", ("T2T",)),
    Miniature("squad", _squad, "train-v1.1.json", ("T2T",)),
    Miniature("msmarco", _msmarco, "collection.tsv", ("T2T",)),
    Miniature("slue-sqa-5", _slue, "slue-sqa5_fine-tune.tsv", ("S2S",)),
    Miniature("spoken-squad", _spoken_squad, "spoken_train-v1.1.json", ("T2S",)),
    Miniature("heysquad", _heysquad, "data/train-*.parquet", ("S2T",)),
    Miniature("audiocaps", _audiocaps, "train.csv", ("T2S",)),
    Miniature("musiccaps", _musiccaps, "musiccaps-public.csv", ("T2AT",)),
    Miniature("clotho", _clotho, "clotho_captions_development.csv", ("T2AT",)),
    Miniature("voxceleb", _voxceleb, "vox1_meta.csv", ("AT2AT",)),
    Miniature("xeno-canto", _xeno_canto, "page1.json", ("AT2AT",)),
    Miniature("audioset-strong", _audioset_strong, "audioset_train_strong.tsv", ("AT2AT",)),
    Miniature("vggsound", _vggsound, "vggsound.csv", ("AT2AT",)),
)
