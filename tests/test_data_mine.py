import json
import math
import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from audio_files import tone, write
from wavrag.cli import build_parser, main
from wavrag.data import mining
from wavrag.data.mining import (
    MineOptions,
    MiningResult,
    mine_negatives,
    read_corpus,
    select_negatives,
)
from wavrag.data.records import Content, TrainingRecord, read_records, write_records
from wavrag.embed import Embedder, EmbedderSpec, FakeEmbedder
from wavrag.errors import InputError
from wavrag.types import EmbedInput, Float32, Role

ANY = MineOptions(margin=None)


def chosen(scores: Sequence[float], options: MineOptions, out: Sequence[int] = ()) -> list[int]:
    """What is selected of one row; the first column is the positive."""
    row = np.array([scores], np.float32)
    (found,) = select_negatives(row, [np.array([0])], [np.array(out, np.intp)], options)
    return found.tolist()


SCORES = [0.8, 0.5, 0.9, 0.77, 0.75, 0.3, 0.6]  # best first: 2, 0, 3, 4, 6, 1, 5


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (ANY, [2, 3, 4, 6, 1, 5]),
        (MineOptions(), [4, 6, 1, 5]),  # 0.95 x 0.8 = 0.76
        (MineOptions(margin=0.0), [3, 4, 6, 1, 5]),
        (MineOptions(margin=1.0), []),
        (replace(ANY, absolute_margin=0.1), [6, 1, 5]),  # 0.8 - 0.1 = 0.7
        (MineOptions(absolute_margin=0.25), [1, 5]),  # 0.55 is stricter than 0.76
        (MineOptions(absolute_margin=0.01), [4, 6, 1, 5]),  # 0.76 is stricter than 0.79
        (replace(ANY, max_score=0.76), [4, 6, 1, 5]),
        (replace(ANY, negatives=2), [2, 3]),
        (replace(ANY, negatives=2, range_min=1), [3, 4]),
        (replace(ANY, negatives=2, range_min=4), [1, 5]),
        (replace(ANY, negatives=2, range_min=5), [5]),
        (replace(ANY, negatives=2, range_min=9), []),
        (replace(ANY, negatives=2, range_max=2), [2, 3]),
        # Of the best three, 2, 3 and 4, only 4 is low enough.
        (MineOptions(negatives=2, range_max=3), [4]),
        # Of the best four, 4 and 6 are low enough, and the best of these is left out.
        (MineOptions(negatives=2, range_min=1, range_max=4), [6]),
    ],
)
def test_what_is_selected_of_a_row(options: MineOptions, expected: list[int]) -> None:
    assert chosen(SCORES, options) == expected


def test_what_is_excluded_takes_no_rank() -> None:
    assert chosen(SCORES, replace(ANY, negatives=2, range_max=2), out=[2, 3]) == [4, 6]


def test_ties_are_broken_by_column() -> None:
    assert chosen([1.0, 0.5, 0.7, 0.5, 0.5, 0.7], replace(ANY, negatives=4)) == [2, 5, 1, 3]


def test_a_negative_score_of_the_positive_does_not_turn_the_margin_round() -> None:
    # -0.4 - 0.4 x 0.05 = -0.42
    assert chosen([-0.4, -0.41, -0.43], MineOptions()) == [2]


def test_the_margin_is_taken_from_the_lowest_positive() -> None:
    row = np.array([[0.9, 0.6, 0.8, 0.58, 0.5]], np.float32)
    (found,) = select_negatives(row, [np.array([0, 1])], [np.empty(0, np.intp)], MineOptions())
    assert found.tolist() == [4]  # 0.95 x 0.6 = 0.57


def test_a_random_draw_is_of_the_best_ten_a_negative_and_depends_on_the_seed() -> None:
    scores = np.sort(np.random.default_rng(0).random((1, 400), np.float32))[:, ::-1].copy()
    nothing = [np.empty(0, np.intp)]
    draws = set()
    for seed in range(30):
        options = MineOptions(3, range_min=5, margin=None, sampling="random", seed=seed)
        (found,) = select_negatives(scores, [np.array([0])], nothing, options)
        (again,) = select_negatives(scores, [np.array([0])], nothing, options)
        assert found.tolist() == again.tolist() == sorted(set(found.tolist()))
        # Rank 0 among the candidates is column 1; ranks 5 to 34 are columns 6 to 35.
        assert found.min() >= 6
        assert found.max() <= 35
        draws.add(tuple(found.tolist()))
    assert len(draws) > 20
    # Fewer candidates than are asked for are all taken.
    few = MineOptions(3, range_min=33, margin=None, sampling="random")
    (found,) = select_negatives(scores[:, :36], [np.array([0])], nothing, few)
    assert found.tolist() == [34, 35]


def brute_force(
    row: Float32, right: Sequence[int], out: Sequence[int], options: MineOptions
) -> list[int]:
    """`select_negatives` for one row, one candidate after another."""
    lowest = min(float(row[at]) for at in right)
    ranked = sorted(
        (at for at in range(len(row)) if at not in right and at not in out),
        key=lambda at: (-row[at], at),
    )
    kept = []
    for rank, at in enumerate(ranked):
        if options.range_max is not None and rank >= options.range_max:
            break
        score = float(row[at])
        if options.margin is not None and score > lowest - abs(lowest) * options.margin:
            continue
        if options.absolute_margin is not None and score > lowest - options.absolute_margin:
            continue
        if options.max_score is not None and score > options.max_score:
            continue
        kept.append(at)
    return kept[options.range_min :][: options.negatives]


def test_it_agrees_with_brute_force() -> None:
    rng = np.random.default_rng(7)
    lengths = set()
    for _ in range(300):
        size = int(rng.integers(2, 40))
        # Few distinct scores, so that there are many ties.
        row = (rng.integers(-10, 11, size) / 10).astype(np.float32)
        columns = rng.permutation(size)
        right = columns[: int(rng.integers(1, 3))]
        out = columns[: int(rng.integers(0, 5))]
        negatives, range_min = int(rng.integers(1, 6)), int(rng.integers(0, 4))
        options = MineOptions(
            negatives,
            range_min,
            None if rng.random() < 0.5 else range_min + negatives + int(rng.integers(0, 9)),
            None if rng.random() < 0.3 else float(rng.choice([0.0, 0.05, 0.5])),
            None if rng.random() < 0.7 else float(rng.choice([0.0, 0.25])),
            None if rng.random() < 0.7 else float(rng.choice([0.45, 0.75])),
        )
        (found,) = select_negatives(row[None], [right], [out], options)
        expected = brute_force(row, right.tolist(), out.tolist(), options)
        assert found.tolist() == expected, (row, options)
        lengths.add(len(expected))
    assert lengths == {0, 1, 2, 3, 4, 5}


class Table:
    """An embedder whose vectors are given; also a model as sentence-transformers takes it."""

    def __init__(self, vectors: dict[str, Float32]) -> None:
        self.vectors = vectors
        self.device = "cpu"
        dim = len(next(iter(vectors.values())))
        text: Any = frozenset({"text"})
        self.spec: EmbedderSpec = replace(
            FakeEmbedder().spec, name="table", dim=dim, modalities=text, sampling_rate=None
        )

    def embed(self, items: Sequence[EmbedInput], role: Role) -> Float32:
        return self.encode_query([item.text or "" for item in items])

    def encode_query(self, texts: Sequence[str], **_: object) -> Float32:
        return np.stack([self.vectors[text] for text in texts])

    encode_document = encode_query

    def similarity(self, one: Any, other: Any) -> Any:
        import torch

        return torch.as_tensor(one) @ torch.as_tensor(other).T

    def similarity_pairwise(self, one: Any, other: Any) -> Any:
        import torch

        return (torch.as_tensor(one) * torch.as_tensor(other)).sum(1)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"margin": 0.05},
        {"margin": 0.2, "absolute_margin": 0.3},
        {"absolute_margin": 0.05, "max_score": 0.5},
        {"max_score": 0.4, "range_min": 3},
        {"margin": 0.05, "range_max": 12},
        {"margin": 0.05, "range_min": 2, "range_max": 9, "negatives": 5},
    ],
)
def test_it_agrees_with_sentence_transformers(given: dict[str, Any]) -> None:
    datasets = pytest.importorskip("datasets", reason="needs the package datasets")
    util = pytest.importorskip(
        "sentence_transformers.util", reason="needs the package sentence-transformers"
    )
    rng = np.random.default_rng(3)
    names = [f"query {n}" for n in range(25)]
    texts = [f"passage {n}" for n in range(60)]
    vectors = {name: rng.normal(size=8) for name in names + texts}
    for n in range(25):  # a positive is near its query, and another passage is nearer at times
        vectors[texts[n]] = vectors[names[n]] + 0.5 * rng.normal(size=8)
        vectors[texts[n + 25]] = vectors[names[n]] + 0.5 * rng.normal(size=8)
    model = Table({k: (v / np.linalg.norm(v)).astype(np.float32) for k, v in vectors.items()})
    options = replace(MineOptions(margin=None), **{"negatives": 3, "range_max": 40, **given})

    rows = util.mine_hard_negatives(
        datasets.Dataset.from_dict({"anchor": names, "positive": texts[:25]}),
        model,
        corpus=texts,
        range_min=options.range_min,
        range_max=options.range_max,
        relative_margin=options.margin,
        absolute_margin=options.absolute_margin,
        max_score=options.max_score,
        num_negatives=options.negatives,
        output_format="labeled-list",
        verbose=False,
    )
    expected = {row["anchor"]: row["positive"][1:] for row in rows}
    assert sum(map(len, expected.values())) >= 25

    records = [
        TrainingRecord(name, Content(text=name), (Content(text=text),))
        for name, text in zip(names, texts, strict=False)
    ]
    mined = mine_negatives(records, model, [Content(text=text) for text in texts], options)
    found = {record.id: [entry.text for entry in record.negatives] for record in mined.records}
    assert {name: negatives for name, negatives in found.items() if negatives} == expected


class Counting(FakeEmbedder):
    """Keeps what it was given."""

    def __init__(self) -> None:
        self.given: list[tuple[EmbedInput, Role]] = []

    def embed(self, items: Sequence[EmbedInput], role: Role) -> Float32:
        self.given += [(item, role) for item in items]
        return super().embed(items, role)


def record(
    name: str, query: Content | str, *positives: Content | str, not_: Any = ()
) -> TrainingRecord:
    def entry(given: Content | str) -> Content:
        return Content(text=given) if isinstance(given, str) else given

    return TrainingRecord(name, entry(query), tuple(map(entry, positives)), tuple(map(entry, not_)))


def negatives(mined: MiningResult) -> dict[str, set[str | None]]:
    return {
        record.id: {entry.text or entry.transcript for entry in record.negatives}
        for record in mined.records
    }


def test_positives_of_the_same_query_and_their_doubles_are_no_negatives(tmp_path: Path) -> None:
    spoken = str(write(tmp_path / "spoken.wav", tone(440, 0.5, 16_000)[None], 16_000))
    heard = str(write(tmp_path / "heard.wav", tone(880, 0.5, 16_000)[None], 16_000))
    records = [
        record("1", "who", "ada", "grace"),
        record("2", "Who ", "edsger"),  # the same question
        record("3", Content(audio=spoken, transcript="who"), "barbara"),  # and in sound
        record("4", "when", "in 1843"),
    ]
    corpus = [
        Content(text="ADA"),
        Content(audio=heard, transcript="Grace"),
        Content(text="in  1843"),
    ]
    mined = mine_negatives(records, FakeEmbedder(), corpus, ANY)
    everybody = {"ada", "grace", "edsger", "barbara", "ADA", "Grace"}
    found = negatives(mined)
    assert found["1"] == found["2"] == found["3"] == {"in 1843"}
    assert found["4"] == everybody - {"ADA"}  # which is "ada" once more
    assert (mined.added, mined.short) == (8, 4)


def test_a_recording_that_is_written_down_once_is_known_everywhere(tmp_path: Path) -> None:
    sound = Content(audio=str(write(tmp_path / "a.wav", tone(440, 0.5, 16_000)[None], 16_000)))
    transcript = replace(sound, transcript="who")
    for first, second in ((transcript, sound), (sound, transcript)):
        records = [
            record("1", first, "ada"), record("2", second, "grace"), record("3", "who", "barbara"),
            record("4", "which", transcript),
        ]  # fmt: skip
        found = negatives(mine_negatives(records, FakeEmbedder(), [Content(text="WHO")], ANY))
        assert found["1"] == found["2"] == found["3"] == {"who", "WHO"}
        assert found["4"] == {"ada", "grace", "barbara"}


def test_negatives_stay_and_are_not_found_again() -> None:
    corpus = [Content(text=text) for text in ("one", "two", "three", "four")]
    records = [record("1", "zero", "zero one", not_=["THREE", "own"])]
    mined = mine_negatives(records, FakeEmbedder(), corpus, replace(ANY, negatives=2))
    (first,) = mined.records
    assert first.negatives[:2] == records[0].negatives
    assert len(first.negatives) == 4
    (second,) = mine_negatives(
        mined.records, FakeEmbedder(), corpus, replace(ANY, negatives=2)
    ).records
    assert second.negatives[:4] == first.negatives
    assert {entry.text for entry in second.negatives} == {"THREE", "own", "one", "two", "four"}


def test_sound_is_heard_at_the_rate_of_the_embedder_and_once(tmp_path: Path) -> None:
    for name, hertz in (("low", 300), ("high", 3_000), ("near", 3_100)):
        write(tmp_path / f"{name}.flac", tone(hertz, 2.0, 44_100)[None], 44_100)
    low, high, near = (Content(audio=str(tmp_path / f"{n}.flac")) for n in ("low", "high", "near"))
    high_bytes = Content(audio=(tmp_path / "high.flac").read_bytes())
    records = [
        TrainingRecord("1", replace(high, start=0.5, end=1.0), (high,)),
        TrainingRecord("2", low, (low,)),
        TrainingRecord("3", low, (high_bytes,)),  # the same sound as the first positive
    ]
    embedder = Counting()
    seen: list[tuple[int, int]] = []
    mined = mine_negatives(
        records, embedder, [near], ANY, on_progress=lambda done, total: seen.append((done, total))
    )
    lengths = [
        (role, len(item.clip.samples)) for item, role in embedder.given if item.clip is not None
    ]
    assert lengths == [
        ("query", 8_000), ("query", 32_000), ("passage", 32_000), ("passage", 32_000),
        ("passage", 32_000),
    ]  # fmt: skip
    assert seen == [(2, 5), (5, 5)]
    # The query of 3,000 Hz is nearest to 3,100 Hz, then to 300 Hz.
    assert mined.records[0].negatives == (near, low)
    assert mined.records[1].negatives == (near,)
    assert mined.positive_score > mined.negative_score


def test_an_embedder_that_only_reads_is_given_the_words(tmp_path: Path) -> None:
    model = Table({"who": np.float32([1, 0]), "ada": np.float32([1, 0]), "x": np.float32([0, 1])})
    query, other = (
        Content(audio=str(write(tmp_path / f"{hertz}.wav", tone(hertz, 0.1, 16_000)[None], 16_000)))
        for hertz in (440, 880)
    )
    notes: list[str] = []
    records = [
        TrainingRecord("known", replace(query, transcript="who"), (Content(text="ada"),)),
        TrainingRecord("unknown", other, (Content(text="x"),)),
    ]
    mined = mine_negatives(records, model, (), ANY, on_note=notes.append)
    assert negatives(mined) == {"known": {"x"}, "unknown": set()}
    assert notes == [
        "record 'unknown': query: is sound without known words, and table only reads: use an"
        " embedder that hears"
    ]


def test_what_cannot_be_embedded_is_told_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    write(tmp_path / "long.wav", np.zeros((1, 31 * 16_000), np.float32) + 0.1, 16_000)
    broken, long, gone = (
        Content(audio=str(tmp_path / f"{name}.wav")) for name in ("broken", "long", "gone")
    )
    records = [
        record("1", broken, "one"),
        record("2", "two", long),
        record("3", "three", "drei", broken),
        record("4", gone, "four"),
        record("5", "five", "fuenf", gone),
    ]
    notes: list[str] = []
    mined = mine_negatives(
        records, FakeEmbedder(), [gone, Content(text="six")], ANY, on_note=notes.append
    )
    texts = {"one", "drei", "four", "fuenf", "six"}
    assert negatives(mined) == {
        "1": set(), "2": set(), "3": texts - {"drei"}, "4": set(), "5": texts - {"fuenf"},
    }  # fmt: skip
    for note, part in zip(
        notes,
        [
            "record '4': query: .*gone.wav' cannot be read: No such file",
            "record '5': positive: .*gone.wav' cannot be read",
            "corpus entry 1: .*gone.wav' cannot be read",
            "record '1': query: .*broken.wav",
            "record '2': positive: .*long.wav.* lasts 31.0 s, but fake takes at most 30 s",
            "record '3': positive: .*broken.wav",
        ],
        strict=True,
    ):
        assert re.match(part, note), note
    assert mined.short == 5
    with pytest.raises(InputError, match=r"record '1': query: .*broken\.wav"):
        mine_negatives(records[:1], FakeEmbedder())


def test_blocks_of_queries_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    model = Table({str(n): rng.normal(size=16).astype(np.float32) for n in range(90)})
    records = [record(str(n), str(n), str(n + 45)) for n in range(45)]
    for sampling in ("top", "random"):
        options = MineOptions(3, sampling=sampling)  # type: ignore[arg-type]
        whole = mine_negatives(records, model, (), options)
        monkeypatch.setattr(mining, "BLOCK", 100)
        monkeypatch.setattr(mining, "BATCH", 4)
        assert mine_negatives(records, model, (), options).records == whole.records
        monkeypatch.undo()
        assert whole.added > 60


def test_nothing_to_compare_with() -> None:
    mined = mine_negatives([record("1", "one", "eins")], FakeEmbedder())
    assert (mined.added, mined.short) == (0, 1)
    assert math.isnan(mined.negative_score)
    assert mined.records[0].negatives == ()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"negatives": 0}, "0 negatives: ask for at least 1"),
        ({"range_min": -1}, "give 0 or more"),
        ({"range_max": 6}, "ranks 0 to 6 cannot hold 7"),
        ({"margin": 1.5}, "a share from 0 to 1"),
        ({"margin": -0.1}, "a share from 0 to 1"),
    ],
)
def test_options_that_make_no_sense(options: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        MineOptions(**options)


def test_entries_are_read_from_lines(tmp_path: Path) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text('{"text": "a"}\n{"audio": "a/b.wav", "start": 1}\n{"txt": "c"}\n[\n')
    notes: list[str] = []
    first, second = read_corpus(path, notes.append)
    assert first == Content(text="a")
    assert second == Content(audio=str(tmp_path / "a/b.wav"), start=1)
    assert [note.split(": ")[0] for note in notes] == [f"{path}:3", f"{path}:4"]
    assert "unknown key `txt`" in notes[0]
    with pytest.raises(InputError, match=r"corpus\.jsonl:3"):
        list(read_corpus(path))


# The command


@pytest.fixture
def file(tmp_path: Path) -> Path:
    sound = write(tmp_path / "bark.wav", tone(900, 0.5, 16_000)[None], 16_000)
    records = [
        record("1", "what is red", "the apple is red"),
        record("2", "what is blue", "the sky is blue", not_=["the sea"]),
        record("3", Content(audio=str(sound)), "a dog"),
    ]
    write_records(tmp_path / "records.jsonl", records)
    return tmp_path / "records.jsonl"


def test_the_command_writes_records(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "corpus.jsonl").write_text('{"text": "the grass is green"}\n')
    out = tmp_path / "sub" / "mined.jsonl"
    command = ["mine", str(file), "--out", str(out), "--embedder", "fake", "--negatives", "3"]
    command += ["--corpus", str(tmp_path / "corpus.jsonl"), "--margin", "0"]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "3 records, " in captured.out
    assert "added by fake" in captured.out
    one, two, three = read_records(out)
    assert {entry.text for entry in one.negatives} <= {
        "the sky is blue", "a dog", "the grass is green",
    }  # fmt: skip
    assert two.negatives[0].text == "the sea"
    assert len(two.negatives) > 1
    assert three.query.audio == str(tmp_path / "bark.wav")


def test_the_command_reports_what_it_skips(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with file.open("a") as lines:
        lines.write('{"id": "4"}\n{"id": "5", "query": {"audio": "no.wav"}, ')
        lines.write('"positives": [{"text": "x"}]}\n')
    command = ["mine", str(file), "--out", str(tmp_path / "out.jsonl"), "--embedder", "fake"]
    assert main(command) == 1
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"skipped: {file}:4: ")
    assert second.startswith("skipped: record '5': query: ")
    assert len(list(read_records(tmp_path / "out.jsonl"))) == 4

    assert main([*command, "--json", "--max-score", "0.9"]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    result = json.loads(captured.out)
    assert (result["records"], result["embedder"], len(result["skipped"])) == (4, "fake", 2)
    assert result["short"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--negatives", "0"], "0 negatives"),
        (["--embedder", "none"], "unknown embedder 'none'"),
        (["--corpus", "gone.jsonl", "--embedder", "fake"], "gone.jsonl cannot be read"),
    ],
)
def test_what_the_command_refuses(
    arguments: list[str],
    message: str,
    file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["mine", str(file), "--out", str(tmp_path / "out.jsonl"), *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_without_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "none.jsonl").write_text("\n")
    assert main(["mine", str(tmp_path / "none.jsonl"), "--out", str(tmp_path / "o.jsonl")]) == 1
    assert "holds no record" in capsys.readouterr().err


def test_the_default_embedder_finds_what_is_near(cascade: Embedder, human_reading: Path) -> None:
    reading = Content(audio=str(human_reading), start=0.0, end=6.0)
    records = [
        record("france", "What is the capital of France?", "Paris is the capital of France."),
        record("read", reading, "It was the best of times, it was the worst of times."),
        record("germany", "What is the capital of Germany?", "Berlin is the German capital."),
    ]
    corpus = [Content(text="Lyon is a large city in France."), Content(text="Whales eat krill.")]
    mined = mine_negatives(records, cascade, corpus, MineOptions(negatives=2))
    found = [{entry.text for entry in record.negatives} for record in mined.records]
    assert "Lyon is a large city in France." in found[0]
    assert "Whales eat krill." not in found[0]
    assert "Paris is the capital of France." in found[2]
    assert mined.positive_score > mined.negative_score + 0.1


PAGE = (Path(__file__).parent.parent / "docs" / "synth-and-mine.md").read_text(encoding="utf-8")


def test_the_python_of_the_page_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    exec(code, {})


def test_the_records_and_commands_of_the_page_are_understood(tmp_path: Path) -> None:
    (lines,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "records.jsonl").write_text(lines)
    assert [one.id for one in read_records(tmp_path / "records.jsonl")] == [
        "demo/1", "demo/2", "demo/3",
    ]  # fmt: skip
    shell = "".join(re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)).replace("\\\n", "")
    commands = [shlex.split(line)[1:] for line in shell.splitlines() if line.strip()]
    runs = [build_parser().parse_args(command).records for command in commands]
    assert set(runs) == {"records.jsonl", "questions.txt", "spoken/records.jsonl"}
