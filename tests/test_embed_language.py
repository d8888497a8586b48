"""Speech outside the languages of the embedder: the score, and the note of the knowledge base."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from wavrag import KnowledgeBase
from wavrag.audio import load
from wavrag.cli import main
from wavrag.demo import DATA
from wavrag.embed import (
    BLANK,
    LETTER_INDEX,
    LETTERS,
    WAVRETRIEVER_WEIGHTS,
    EmbedResult,
    FakeEmbedder,
    LanguageScore,
    english_score,
    is_foreign,
    load_embedder,
    read_common_words,
)
from wavrag.embed.cascade import Cascade
from wavrag.embed.language import MIN_LETTERS, THRESHOLD
from wavrag.embed.whisper import Whisper
from wavrag.testing.embedder import tone
from wavrag.types import Document, EmbedInput, Role

FRENCH = (
    "Le train pour Marseille partira ce matin avec vingt minutes de retard. Ma grand-mère préparait"
    " toujours une soupe aux légumes le dimanche soir. Pourriez-vous me dire où se trouve la"
    " bibliothèque municipale ? La réunion du conseil a été reportée à jeudi prochain. Nous avons"
    " longtemps parlé du nouveau pont et de son prix. Les enfants jouaient dans la cour pendant que"
    " leurs parents discutaient. Après la tempête, les branches couvraient toute la route."
)


def spell(text: str, probability: float) -> np.ndarray:
    """Log posteriors of a text, a blank after each letter."""
    frames = np.full((2 * len(text) + 1, len(LETTERS) + 1), (1 - probability) / len(LETTERS))
    frames[::2, BLANK] = probability
    for at, letter in enumerate(text):
        frames[2 * at + 1, LETTER_INDEX[letter]] = probability
    return np.log(frames).astype(np.float32)


def test_the_score_by_hand() -> None:
    frames = spell("the ferry xxxxx", 0.9)
    # 13 letters of probability .9, of which "ferry" is a listed word of at least four.
    score = english_score(frames, {"the", "ferry"})
    assert score is not None
    assert score.letters == 13
    assert score.score == pytest.approx(0.5 * 0.9 + 5 / 13 - THRESHOLD, abs=1e-4)
    assert english_score(spell("", 0.9), {"the"}) is None


def test_a_recording_is_judged_by_all_its_letters() -> None:
    foreign, english = LanguageScore(-0.1, MIN_LETTERS), LanguageScore(0.1, MIN_LETTERS)
    assert is_foreign([foreign, None])
    assert not is_foreign([english])
    assert not is_foreign([foreign, LanguageScore(0.1, MIN_LETTERS + 1)])
    assert not is_foreign([LanguageScore(-0.3, MIN_LETTERS - 1)]), "too short to tell"
    assert not is_foreign([])


def test_the_packaged_word_list() -> None:
    words = read_common_words(WAVRETRIEVER_WEIGHTS / "lexicon.txt")
    assert len(words) == 20_000
    assert {"the", "water", "train"} <= words


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")
def test_french_is_named_in_the_report_and_english_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    french = tmp_path / "train.wav"
    subprocess.run(["espeak-ng", "-v", "fr", "-w", str(french), FRENCH * 4], check=True)
    english = DATA / "corpus" / "recordings" / "tides-lecture.ogg"
    command = ["index", str(french), str(english), "--kb", str(tmp_path / "kb")]
    assert main([*command, "--embedder", "wavretriever", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    (note,) = report["notes"]
    assert note["source"] == str(french)
    assert "a language that wavretriever does not know" in note["note"]
    assert len(report["added"]) == 2


class Foreign(FakeEmbedder):
    """Finds every clip foreign."""

    def embed_with_texts(self, inputs: Sequence[EmbedInput], role: Role) -> EmbedResult:
        result = super().embed_with_texts(inputs, role)
        scores = [LanguageScore(-1.0, 80) if content.clip else None for content in inputs]
        return EmbedResult(result.vectors, result.texts, languages=tuple(scores))


def test_short_recordings_and_texts_get_no_note(tmp_path: Path) -> None:
    clips = [Document(str(n), clip=tone(n, 16_000)) for n in (10, 100)]
    with KnowledgeBase.open(tmp_path, embedder=Foreign()) as kb:
        report = kb.add([*clips, Document("text", text="words")])
    assert [source for source, _ in report.notes] == ["100"]


def test_whisper_scores_its_language_for_passages_alone(tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    clip = load(DATA / "questions" / "great-fire.opus", 16_000)
    calls: list[int] = []

    class Model:
        def transcribe(self, samples: np.ndarray, **options: object) -> object:
            return [SimpleNamespace(text=" Wo ist es?")], None

        def detect_language(self, samples: np.ndarray) -> object:
            calls.append(len(samples))
            return "de", 0.9, [("de", 0.9), ("en", 0.02)]

    recogniser = Whisper(tmp_path)
    recogniser.__dict__["_model"] = Model()
    cascade = Cascade(recogniser, FakeEmbedder())
    inputs = [EmbedInput(text="a title"), EmbedInput(clip=clip)]
    assert cascade.embed_with_texts(inputs, "query").languages == ()
    assert not calls
    nothing, score = cascade.embed_with_texts(inputs, "passage").languages
    assert nothing is None
    assert score == LanguageScore(pytest.approx(0.02 - 0.5), len("Woistes"))


def test_without_evidence_there_is_none(cascade: Cascade) -> None:
    assert cascade.embed_with_texts([EmbedInput(text="words")], "passage").languages == ()
    mini = load_embedder("wavretriever")
    assert mini.embed_with_texts([EmbedInput(text="words")], "passage").languages == (None,)
