import json
from pathlib import Path
from typing import Any

import pytest

from wavrag.errors import InputError
from wavrag.train.mini.letters import collapse_classes, spell_text, text_to_classes
from wavrag.train.mini.texts import gather_texts


def collected(folder: Path) -> Path:
    """A little of every text that `gather` reads."""

    def put(name: str, rows: list[dict[str, Any]]) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")

    put("speech/librispeech.jsonl", [{"text": "hold fast hold out"}])
    put("speech/squad_eval_kokoro.jsonl", [{"text": "Who hears this question?"}])
    put("text/qed_eval.jsonl", [{"question": "who asked this one"}])
    put(
        "speech/speechocean762.jsonl",
        [
            {"text": "a text of the test", "split": "test"},
            {"text": "a text of the training", "split": "train"},
        ],
    )
    put(
        "text/squad_dev_eval.jsonl",
        [{"context": "A sentence held back. Another one here.", "questions": ["What is back?"]}],
    )
    asked = [
        "who hears THIS question", "Who asked this one?", "What is back", "Where is Lourdes?",
        "Where is Lourdes", "Why?", "What costs 5 € there?", "A text of the training",
    ]  # fmt: skip
    put("text/questions.jsonl", [{"text": text, "source": "q"} for text in asked])
    put(
        "text/squad_dev_train.jsonl",
        [
            {
                "context": "It began in winter. A sentence held back.",
                "questions": ["When did it begin?"],
            }
        ],
    )
    put(
        "text/squad_train_pairs.jsonl",
        [{"passage": "it is at lourdes , france .", "question": "isn 't it o'brien 's ?"}],
    )
    put("text/wiki_passages.jsonl", [{"text": "He was king of the hill."}])
    spoken = {"data": [{"paragraphs": [{"qas": [{"question": "When did it begin?"}]}]}]}
    (folder / "text/spoken_test-v1.1.json").write_text(json.dumps(spoken))
    return folder


def test_no_text_of_an_evaluation_is_trained_on_and_none_twice(tmp_path: Path) -> None:
    gathered = gather_texts(collected(tmp_path), 0)
    assert sorted(text.text for text in gathered) == [
        "A text of the training",
        "He was king of the hill.",
        "It began in winter.",
        "Where is Lourdes?",
        "isn't it o'brien's?",
        "it is at lourdes, france.",
    ]
    assert gathered == gather_texts(tmp_path, 0)
    assert {text.source for text in gathered} == {"q", "squad-dev", "squad-train", "wikipedia"}


def test_a_data_folder_without_its_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"librispeech\.jsonl cannot be read"):
        gather_texts(tmp_path, 0)


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Who's there?", "who's there"),
        ("'Twas the 1990s – no", None),
        ("in the 1990s", "in the 1990s"),
        ("well-known “thing”", None),
        ("the 'best' (one)", "the best one"),
        ("5 % of it", None),
        ("...", None),
    ],
)
def test_a_text_is_spelled_or_refused(text: str, spelled: str | None) -> None:
    assert spell_text(text) == spelled


def test_letters_are_collapsed_as_ctc_does() -> None:
    b, o, k = text_to_classes("bok")
    assert collapse_classes([0, b, b, 0, o, 0, o, o, k, 0]) == "book"
    assert collapse_classes([]) == ""
