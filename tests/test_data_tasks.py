"""Reading tasks, and running them through the real knowledge base with the fake embedder."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_files import tone, write
from wavrag.data.captions import training_captions
from wavrag.data.tasks import load_task
from wavrag.embed import FakeEmbedder, load_embedder
from wavrag.errors import InputError
from wavrag.evaluate import evaluate_embedder
from wavrag.evaluate.retrieval import best_passages, build_documents, check_modalities
from wavrag.types import Passage, ScoredPassage

RATE = 16_000
CORPUS = [
    {"_id": "tea", "title": "Tea", "text": "Green leaves steep in hot water."},
    {"_id": "sea", "text": "Waves roll over the harbour wall."},
    {"_id": "low", "audio": "sounds/low.wav"},
    {"_id": "both", "text": "A kettle whistles.", "audio": "sounds/high.wav"},
]
QUERIES = [
    {"_id": "q-tea", "text": "green leaves in hot water"},
    {"_id": "q-low", "audio": "sounds/low.wav"},
    {"_id": "q-both", "text": "kettle whistles", "audio": "sounds/high.wav"},
    {"_id": "q-unjudged", "text": "nobody judged this"},
]
QRELS = [("q-tea", "tea", 1), ("q-low", "low", 2), ("q-both", "both", 1), ("q-unjudged", "sea", 0)]


def make_task(
    folder: Path, corpus: Any = CORPUS, queries: Any = QUERIES, qrels: Any = QRELS
) -> Path:
    """A task folder with two tones that entries may name."""
    for part in ("sounds", "qrels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for name, hertz in (("low", 200), ("high", 3_000)):
        write(folder / "sounds" / f"{name}.wav", tone(hertz, 1.0, RATE)[None], RATE)
    for name, rows in (("corpus", corpus), ("queries", queries)):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    lines = ["query-id\tcorpus-id\tscore", *("\t".join(map(str, row)) for row in qrels)]
    (folder / "qrels" / "test.tsv").write_text("\n".join(lines), encoding="utf-8")
    return folder


def test_a_task_is_read(tmp_path: Path) -> None:
    task = load_task(make_task(tmp_path / "little"))
    assert task.name == "little"
    assert list(task.corpus) == ["tea", "sea", "low", "both"]
    assert list(task.queries) == ["q-tea", "q-low", "q-both"], "without a relevant entry: left out"
    assert task.qrels["q-low"] == {"low": 2}
    assert task.corpus["both"].audio == str(tmp_path / "little" / "sounds" / "high.wav")


def test_byte_order_marks_carriage_returns_and_empty_lines_are_read(tmp_path: Path) -> None:
    folder = make_task(tmp_path)
    plain = load_task(folder)
    for path in (folder / "corpus.jsonl", folder / "queries.jsonl", folder / "qrels" / "test.tsv"):
        text = path.read_text(encoding="utf-8").strip().replace("\n", "\r\n")
        path.write_bytes(f"\ufeff{text}\r\n\r\n".encode())
    assert load_task(folder) == plain


def test_audio_may_lie_outside_of_the_folder(tmp_path: Path) -> None:
    write(tmp_path / "other.wav", tone(200, 1.0, RATE)[None], RATE)
    folder = make_task(tmp_path / "task", [*CORPUS, {"_id": "out", "audio": "../other.wav"}])
    assert load_task(folder).corpus["out"].audio == str(tmp_path / "other.wav")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"corpus": [{"_id": "tea"}]}, r"corpus.jsonl, line 1: 'tea' has no title, text or audio"),
        ({"corpus": [*CORPUS, CORPUS[0]]}, r"line 5: _id 'tea' was given before .*line 1"),
        ({"corpus": [{"_id": 7, "text": "x"}]}, "line 1: _id is 7: give a string"),
        ({"corpus": [{"text": "x"}]}, "line 1: _id is ''"),
        ({"corpus": [{"_id": "a\tb", "text": "x"}]}, "without tabs"),
        ({"corpus": [["tea"]]}, "line 1: is no object"),
        ({"corpus": []}, "corpus.jsonl: is empty"),
        ({"corpus": [{"_id": "x", "audio": "no.wav"}]}, r"line 1: audio 'no.wav' is not there"),
        ({"corpus": [{"_id": "x", "audio": "sounds"}]}, "audio 'sounds' is not there"),
        ({"queries": [{"_id": "q", "text": ["x"]}]}, r"queries.jsonl, line 1: text is \['x'\]"),
        ({"qrels": [("q-tea", "tea", 1), ("q-?", "tea", 1)]}, "line 3: query 'q-\\?' is not in"),
        ({"qrels": [("q-tea", "tee", 1)]}, "test.tsv, line 2: entry 'tee' is not in corpus.jsonl"),
        ({"qrels": [("q-tea", "tea", "yes")]}, "line 2: score 'yes' is no number"),
        ({"qrels": [("q-tea", "tea", "nan")]}, "line 2: score 'nan' is no number"),
        ({"qrels": [("q-tea", "tea")]}, r"line 2: has 2 column\(s\)"),
        ({"qrels": [("q-tea", "tea", 1)] * 2}, "line 3: .* were judged before"),
        ({"qrels": [("q-tea", "tea", 0)]}, "test.tsv: has no relevant pair"),
        ({"qrels": []}, "test.tsv: has no relevant pair"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_task(make_task(tmp_path, **change))


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (make_task(tmp_path) / name).unlink()
    with pytest.raises(InputError, match=f"{name}: no such file"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("queries.jsonl", b'{"_id": "q", "text": "x"}\n{broken\n', "line 2: is not JSON"),
        ("queries.jsonl", b'{"_id": "q", "text": "\xe9"}\n', "is not UTF-8"),
        ("qrels/test.tsv", b"q-tea\ttea\t1\n", "line 1: is no header"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (make_task(tmp_path) / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_task(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        load_task(tmp_path / "nowhere")


def test_an_entry_that_is_to_find_itself_is_refused(tmp_path: Path) -> None:
    folder = make_task(
        tmp_path, queries=[{"_id": "low", "audio": "sounds/low.wav"}], qrels=[("low", "low", 1)]
    )
    with pytest.raises(InputError, match="would have to find itself"):
        load_task(folder)


def test_a_modality_leaves_the_rest_out(tmp_path: Path) -> None:
    folder = make_task(tmp_path, CORPUS[3:], QUERIES[2:3], [("q-both", "both", 1)])
    spoken = load_task(folder, query_modality="audio", corpus_modality="text")
    assert spoken.queries["q-both"].text == ""
    assert spoken.corpus["both"].audio is None
    written = load_task(folder, query_modality="text", corpus_modality="audio")
    assert written.queries["q-both"].audio is None
    assert written.corpus["both"].words == ""


def test_a_modality_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = make_task(tmp_path)
    with pytest.raises(InputError, match=r"queries.jsonl, line 1: 'q-tea' has no audio"):
        load_task(folder, query_modality="audio")
    with pytest.raises(InputError, match=r"corpus.jsonl, line 3: 'low' has no text"):
        load_task(folder, corpus_modality="text")


def test_sound_for_an_embedder_that_does_not_hear_is_refused_before_work(tmp_path: Path) -> None:
    folder = make_task(tmp_path, queries=QUERIES[2:3], qrels=[("q-both", "both", 1)])
    with pytest.raises(InputError, match=r"'q-both' has audio, .* use --query-modality text, or"):
        check_modalities(load_task(folder), load_embedder("minilm"))
    task = load_task(folder, query_modality="text")
    with pytest.raises(InputError, match=r"'low' has audio, .* use an audio embedder"):
        evaluate_embedder(task, "minilm")


def test_an_entry_of_text_and_sound_is_two_documents(tmp_path: Path) -> None:
    documents = build_documents(load_task(make_task(tmp_path)))
    assert list(documents) == ["tea", "sea", "low", "both", "both\taudio"]
    assert [entry for _, entry in documents.values()][-2:] == ["both", "both"]


def test_an_entry_counts_with_its_best_passage() -> None:
    entry_of = {"a": "a", "a\taudio": "a", "b": "b", "c": "c", "q": "q"}
    passages = [("a", 0, 0.2), ("b", 0, 0.9), ("a\taudio", 3, 0.9), ("c", 0, 0.5), ("q", 0, 1.0)]
    scored = [
        ScoredPassage(Passage(document, ordinal), score) for document, ordinal, score in passages
    ]
    assert list(best_passages(scored, entry_of, "q")) == ["a", "b", "c"]


def test_the_whole_way_with_every_leg(tmp_path: Path) -> None:
    indexed, asked = [], []
    systems = evaluate_embedder(
        load_task(make_task(tmp_path)),
        FakeEmbedder(),
        on_index=indexed.append,
        on_query=lambda done, total: asked.append((done, total)),
    )
    by_leg = {system.legs: system for system in systems}
    assert list(by_leg) == ["dense", "lexical", "fused"]
    assert by_leg["dense"].metrics["recall@1"] == 1
    assert by_leg["fused"].metrics["recall@10"] == 1
    # The fake embedder recognises no words: a tone alone has nothing for the lexical leg.
    assert by_leg["lexical"].metrics["recall@10"] == pytest.approx(2 / 3)
    assert by_leg["lexical"].queries_without_hits == 1
    assert by_leg["dense"].queries_without_hits == 0
    assert by_leg["dense"].indexed_passages == 5
    low, high = by_leg["lexical"].ci95["recall@10"]
    assert low <= 2 / 3 <= high
    assert indexed[-1].documents == 5
    assert asked == [(0, 3), (1, 3), (2, 3)]


def test_the_own_entry_of_a_query_is_no_hit(tmp_path: Path) -> None:
    corpus = [
        {"_id": "low", "audio": "sounds/low.wav"},
        {"_id": "twin", "audio": "sounds/low.wav"},
        {"_id": "high", "audio": "sounds/high.wav"},
    ]
    folder = make_task(tmp_path, corpus, corpus[:1], [("low", "twin", 1)])
    (system,) = evaluate_embedder(load_task(folder), FakeEmbedder(), ["dense"])
    assert system.metrics["recall@1"] == 1


def test_a_long_document_does_not_take_the_places_of_others(tmp_path: Path) -> None:
    # Some hundred passages of one document say what the query says; the relevant one says less.
    long = "\n\n".join(f"The comet passed in the year {year}. " * 12 for year in range(1600, 1700))
    others = [{"_id": f"o{number}", "text": f"Bread number {number}."} for number in range(30)]
    corpus = [{"_id": "long", "text": long}, {"_id": "short", "text": "A comet."}, *others]
    queries = [{"_id": "q", "text": "the comet passed in the year"}]
    folder = make_task(tmp_path, corpus, queries, [("q", "short", 1)])
    systems = evaluate_embedder(load_task(folder), FakeEmbedder())
    assert systems[0].indexed_passages > 100
    assert [system.metrics["recall@10"] for system in systems] == [1, 1, 1]


def test_a_recording_that_cannot_be_decoded_ends_the_run(tmp_path: Path) -> None:
    folder = make_task(tmp_path)
    (folder / "sounds" / "low.wav").write_bytes(np.zeros(500, np.uint8).tobytes())
    with pytest.raises(
        InputError, match=r"1 of the passages in the corpus cannot be indexed, first .*low.wav"
    ):
        evaluate_embedder(load_task(folder), FakeEmbedder())


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(Path(__file__).parent.parent / "tools"))
    import make_tasks

    return make_tasks


def collected(folder: Path) -> Path:
    """A little of every set that the tool reads."""

    def put(name: str, rows: list[dict[str, Any]]) -> None:
        path = folder / f"{name}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    (folder / "speech").mkdir(parents=True)
    for number in range(12):
        write(folder / f"speech/{number}.wav", tone(200 + number, 1.0, RATE)[None], RATE)
    said = ["one", "two", "two"]
    spoken = [
        {"id": f"s{number}", "audio": f"speech/{number}.wav", "text": text, "speaker": str(number)}
        for number, text in enumerate(said)
    ]
    put("speech/librispeech", spoken)
    test = [{**row, "split": "test"} for row in spoken]
    others = [
        {"id": f"x{n}", "audio": f"speech/{n}.wav", "text": "one", "speaker": f"{n}", "split": s}
        for n, s in ((5, "train"), (6, "test"), (7, "test"), (8, "test"))
    ]
    put("speech/speechocean762", test + others)
    put("speech/squad_eval_kokoro", [{**spoken[0], "text": "one in 1907", "positive": "p"}])
    put("text/squad_dev_eval", [{"id": "p", "title": "A_title", "context": "one of 1907"}])
    put("text/wiki_passages", [{"id": "w", "title": "Other", "text": "two"}])
    put(
        "text/qed_eval",
        [
            {"id": id, "question": q, "title": "T", "paragraph": "Same as in Zanzibar."}
            for id, q in (("0", "where is zanzibar?"), ("1", "what is the same?"))
        ],
    )
    for name, labels in (("esc10", ("rain", "rooster")), ("kitchen20", ("book", "peel"))):
        clips = [
            {"label": labels[n // 3], "fold": 5 if n < 5 else 4, "freesound_id": str(max(n, 1))}
            for n in range(6)
        ]
        rows = [{"id": f"{n}", "audio": f"speech/{n}.wav", **clip} for n, clip in enumerate(clips)]
        put(f"sounds/{name}", rows)
    # Training takes the first of every two ambiences.
    ambiences = [{"audio": f"speech/{n}.wav", "label": "rain"} for n in (10, 11)]
    put("sounds/moodist", ambiences)
    silence = {"audio": "speech/8.wav", "label": "silence"}
    put("sounds/blanket", [{"audio": "speech/9.wav", "label": "birds"}, silence])
    return folder


def test_tasks_are_made_of_collected_data(tool: Any, tmp_path: Path) -> None:
    data, out = collected(tmp_path / "data"), tmp_path / "out"
    tool.main([str(out), "--data", str(data)])
    tasks = {folder.name: load_task(folder) for folder in sorted(out.iterdir())}
    assert set(tasks) == set(tool.TASKS) - set(tool.NEEDS_VOICE)
    recordings = tasks["librispeech-recordings"]
    assert [set(found) for found in recordings.qrels.values()] == [{"s0"}, {"s1", "s2"}]
    assert tasks["librispeech"].qrels["s1"] == tasks["librispeech"].qrels["s2"], "equal texts"
    assert list(tasks["speechocean"].queries) == ["s1", "s2"], "a text of the training split"
    assert list(tasks["squad-spoken"].corpus) == ["p", "w"]
    assert tasks["squad-spoken"].corpus["p"].title == "A title"
    assert tasks["squad-spoken"].queries["s0"].text == ""
    assert len(tasks["qed"].corpus) == 1
    untitled = tasks["qed-untitled"].corpus
    assert [(passage.title, passage.text) for passage in untitled.values()] == [
        ("", "Same as in Zanzibar."),
        ("Other", "two"),
    ]
    # Clips 0 and 1 are of one Freesound recording, clip 5 is of another fold.
    assert tasks["esc10-text"].qrels == {
        "rain-0": dict.fromkeys("012", 1),
        "rain-1": dict.fromkeys("012", 1),
        "rooster-0": dict.fromkeys("34", 1),
        "rooster-1": dict.fromkeys("34", 1),
    }
    assert not set(training_captions("rain")) & {
        query.text for query in tasks["esc10-text"].queries.values()
    }
    assert tasks["esc10-similar"].qrels == {
        "0": {"2": 1},
        "2": {"0": 1},
        "3": {"4": 1},
        "4": {"3": 1},
    }
    assert list(tasks["esc10-similar"].corpus) == ["0", "2", "3", "4"]


def test_subsets_have_rare_names_and_numbers(tool: Any, tmp_path: Path) -> None:
    data, out = collected(tmp_path / "data"), tmp_path / "out"
    tool.main([str(out), "--data", str(data), "--only", "qed-names", "qed"])
    assert list(load_task(out / "qed-names").queries) == ["0"], "Same only starts a sentence"
    assert list(load_task(out / "qed").queries) == ["0", "1"]
    rows = [
        {"_id": f"p{n}", "text": f"Born in 1907, {'Ada' if n else 'Bo'} lived."} for n in range(11)
    ]
    queries = ["who is ada", "who is bo", "who lived in 1907", "born 1907 with bo"]
    draft = tool.TaskDraft(
        rows, [{"_id": text, "text": text} for text in queries], [(text, "p0") for text in queries]
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(tool.TASKS, "mine", lambda options: draft)
        subset = tool.select_names(tool.Options(out, data, None, False, 0), "mine")
    # Ada is in 10 passages, Bo in one, the year in all 11; Born starts sentences only.
    kept = ["who is ada", "who is bo", "born 1907 with bo"]
    assert [query["_id"] for query in subset.queries] == kept
    assert [query for query, _ in subset.qrels] == kept


def test_conditions_have_recordings_of_their_own(tool: Any, tmp_path: Path) -> None:
    data, out = collected(tmp_path / "data"), tmp_path / "out"
    options = ["--data", str(data), "--words", "--only", "librispeech", "squad-spoken-small"]
    conditions = ["clean", "far", "babble-5dB", "ambience-0db"]
    tool.main([str(out), *options, "--conditions", *conditions])
    endings = ["", "-ambience-0db", "-babble-5db", "-far"]
    assert sorted(folder.name for folder in out.iterdir()) == [
        f"{name}{ending}" for name in ("librispeech", "squad-spoken-small") for ending in endings
    ]
    folder = out / "squad-spoken-small-babble-5db"
    (query,) = load_task(folder).queries.values()
    assert Path(str(query.audio)).parent == folder / "audio"
    assert query.text == "one in 1907"
    assert json.loads((folder / "provenance.json").read_text())["snr_db"] == 5
    provenance = json.loads((out / "librispeech-ambience-0db/provenance.json").read_text())
    assert provenance["noise_files"] == ["speech/11.wav", "speech/9.wav"], "no training noise"
    assert len(load_task(out / "librispeech-far").queries) == 3
    (clean,) = load_task(out / "squad-spoken-small").queries.values()
    assert Path(str(clean.audio)).parent == data / "speech"


def test_conditions_change_speech_as_named(tool: Any, tmp_path: Path) -> None:
    from task_conditions import Condition, disturb, list_sources

    data = collected(tmp_path / "data")
    rows = tool.Options(tmp_path, data, None, False, 0).rows
    speech = tone(1_000, 1.0, RATE, 0.1)
    babble = Condition.parse("babble-6dB")
    sources = list_sources(babble, rows)
    assert {row["split"] for row in sources} == {"test"}
    first = disturb(babble, speech, sources, data, "seed q")
    assert np.array_equal(first, disturb(babble, speech, sources, data, "seed q"))
    assert not np.array_equal(first, disturb(babble, speech, sources, data, "seed r"))
    # 6 dB: noise of 10^(-.6) = .251 of the speech's power, .005; another ratio scales it.
    noise = first - speech
    assert np.mean(noise**2) == pytest.approx(0.251 * 0.005, rel=0.01)
    louder = disturb(Condition("babble", 0.0), speech, sources, data, "seed q") - speech
    assert louder * 10**-0.3 == pytest.approx(noise, abs=1e-5)
    assert np.abs(disturb(Condition("babble", -40.0), speech, sources, data, "seed q")).max() <= 1
    far = Condition.parse("far")
    assert list_sources(far, rows) == []
    click = np.zeros(RATE, np.float32)
    click[100] = 0.5
    room = disturb(far, click, [], data, "seed q")
    assert np.array_equal(room, disturb(far, click, [], data, "seed q"))
    assert room[:100] == pytest.approx(0, abs=1e-6), "no sound before the click"
    ratio = 10 * np.log10(room[100] ** 2 / np.sum(room[101:] ** 2))
    assert -2.1 <= ratio <= 2.1, "dB, direct to reverberant"


def test_no_speaker_babbles_behind_their_own_voice(
    tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, out = collected(tmp_path / "data"), tmp_path / "out"
    speakers = {}

    def record(
        condition: Any, speech: Any, sources: list[dict[str, Any]], folder: Path, seed: str
    ) -> Any:
        speakers[seed] = {row["speaker"] for row in sources}
        return speech

    monkeypatch.setattr(tool, "disturb", record)
    tool.main(
        [str(out), "--data", str(data), "--only", "speechocean", "--conditions", "babble-0db"]
    )
    assert speakers == {"0 s1": {"0", "2", "6", "7", "8"}, "0 s2": {"0", "1", "6", "7", "8"}}


@pytest.mark.parametrize(
    "options",
    [["--only", "qed", "--conditions", "far"], ["--conditions", "babble"], ["--only", "beir"]],
)
def test_what_the_tool_cannot_make_is_wrong_usage(
    tool: Any, tmp_path: Path, options: list[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        tool.main([str(tmp_path / "out"), "--data", str(tmp_path / "data"), *options])
    assert ended.value.code == 2
    with pytest.raises(SystemExit):
        tool.main([str(tmp_path / "data" / "out"), "--data", str(tmp_path / "data")])
