"""Embedders to compare with: cascades of other parts, an untrained encoder, CLAP."""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from tiny_clap import build_clap
from wavrag import audio
from wavrag.embed import Embedder, FakeEmbedder, load_embedder, load_recogniser
from wavrag.embed.cascade import Cascade, split_name
from wavrag.embed.minilm import MiniLM
from wavrag.embed.moonshine import Moonshine
from wavrag.embed.raw_moonshine import RawMoonshine
from wavrag.embed.recogniser import Recogniser, RecogniserSpec
from wavrag.embed.sphinx import PocketSphinx
from wavrag.embed.whisper import Whisper
from wavrag.errors import EmbedderError, IndexMismatchError, MissingExtraError
from wavrag.kb import KnowledgeBase
from wavrag.testing.embedder import EmbedderConformance, tone
from wavrag.types import Clip, Document, EmbedInput, Query

WHISPER = os.environ.get("WAVRAG_TEST_WHISPER", "")
needs_whisper = pytest.mark.skipif(
    not (importlib.util.find_spec("faster_whisper") and WHISPER),
    reason="needs faster-whisper, and the folder of a Whisper model in WAVRAG_TEST_WHISPER",
)
needs_sphinx = pytest.mark.skipif(
    not importlib.util.find_spec("pocketsphinx"), reason="needs pocketsphinx"
)
needs_models = pytest.mark.skipif(
    not importlib.util.find_spec("sentence_transformers"), reason="needs wavrag[models]"
)


@pytest.fixture(scope="module")
def tiny_clap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clap")
    build_clap(folder)
    return folder


@pytest.fixture(scope="module")
def raw() -> Embedder:
    return load_embedder("raw:moonshine")


@pytest.fixture(scope="module")
def sphinx() -> Embedder:
    return load_embedder("cascade:asr=pocketsphinx")


@pytest.fixture(scope="module")
def whisper() -> Embedder:
    return load_embedder(f"cascade:asr=whisper:{WHISPER}")


class Scripted:
    """A recogniser that says how long a clip is."""

    spec = RecogniserSpec("scripted", "scripted-1", 16_000, 12.0, ("en", "de"), "MIT")

    def transcribe(self, clip: Clip) -> str:
        return f"{clip.duration:g} seconds" if np.any(clip.samples) else ""


class TestScriptedCascade(EmbedderConformance):
    @pytest.fixture
    def embedder(self) -> Embedder:
        return Cascade(Scripted(), FakeEmbedder())


class TestRawMoonshine(EmbedderConformance):
    @pytest.fixture
    def embedder(self, raw: Embedder) -> Embedder:
        return raw


@needs_sphinx
class TestPocketSphinx(EmbedderConformance):
    @pytest.fixture
    def embedder(self, sphinx: Embedder) -> Embedder:
        return sphinx


@needs_whisper
class TestWhisper(EmbedderConformance):
    @pytest.fixture
    def embedder(self, whisper: Embedder) -> Embedder:
        return whisper


def reading(human_reading: Path, start: float, end: float) -> Clip:
    return audio.load(str(human_reading), 16_000, start, end)


@needs_whisper
def test_whisper_writes_down_what_is_read(human_reading: Path) -> None:
    words = load_recogniser(f"whisper:{WHISPER}").transcribe(reading(human_reading, 0, 5))
    assert "it was the best of times" in words.lower()


@needs_sphinx
def test_pocketsphinx_hears_some_of_it_and_the_same_in_any_order(human_reading: Path) -> None:
    recogniser = load_recogniser("pocketsphinx")
    first, second = reading(human_reading, 0, 5), reading(human_reading, 5, 8)
    words = [recogniser.transcribe(clip) for clip in (first, second)]
    assert len(set("it was the best of times".split()) & set(words[0].split())) >= 4
    again = load_recogniser("pocketsphinx")
    assert [again.transcribe(clip) for clip in (second, first)] == words[::-1]


def test_the_plain_cascade_is_named_and_revised_as_ever(cascade: Embedder) -> None:
    # Knowledge bases on disk hold these.
    assert cascade.spec.name == "cascade"
    assert cascade.spec.revision == "moonshine-tiny-en-0.0.73+minilm-l6-v2-int8-1"
    assert cascade.spec.licence == "MIT AND Apache-2.0"
    assert load_embedder("cascade:asr=moonshine").spec == cascade.spec
    assert load_embedder("cascade:asr=moonshine,text=minilm").spec == cascade.spec


def test_name_and_revision_say_both_parts() -> None:
    spec = Cascade(Scripted(), FakeEmbedder()).spec
    assert spec.name == "cascade:asr=scripted,text=fake"
    assert spec.revision == "scripted-1+1"
    assert (spec.dim, spec.max_audio_seconds, spec.transcribes) == (64, 12.0, True)
    assert spec.languages == ("en",)
    assert spec.licence == "MIT AND Apache-2.0"
    assert Cascade(Moonshine(), FakeEmbedder()).spec.name == "cascade:text=fake"
    assert Cascade(Scripted(), MiniLM()).spec.name == "cascade:asr=scripted"


def test_the_words_are_embedded_by_the_text_embedder() -> None:
    result = Cascade(Scripted(), FakeEmbedder()).embed_with_texts(
        [EmbedInput(clip=tone(2.0, 16_000))], "query"
    )
    assert result.texts == ("2 seconds",)
    expected = FakeEmbedder().embed([EmbedInput(text="2 seconds")], "query")
    np.testing.assert_array_equal(result.vectors, expected)
    assert isinstance(Scripted(), Recogniser)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cascade", ("moonshine", "minilm")),
        ("cascade:asr=pocketsphinx", ("pocketsphinx", "minilm")),
        ("cascade:text=st:ORG/NAME", ("moonshine", "st:ORG/NAME")),
        ("cascade:asr=whisper:/a,b=c@de", ("whisper:/a,b=c@de", "minilm")),
        ("cascade:asr=whisper:/a,b=c,text=st:ORG/NAME", ("whisper:/a,b=c", "st:ORG/NAME")),
    ],
)
def test_names_are_taken_apart(name: str, parts: tuple[str, str]) -> None:
    assert split_name(name) == parts


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cascade:", "is not cascade:asr=RECOGNISER,text=EMBEDDER"),
        ("cascade:moonshine", "is not cascade:asr=RECOGNISER,text=EMBEDDER"),
        ("cascade:asr=moonshine,text=", "is not cascade:asr=RECOGNISER,text=EMBEDDER"),
        ("cascade:asr=kaldi", "unknown recogniser 'kaldi': choose one of moonshine"),
        ("cascade:asr=whisper:", "unknown recogniser 'whisper:'"),
        ("cascade:asr=whisper:/nowhere", "lacks config.json and model.bin and tokenizer.json"),
        ("cascade:asr=transformers:/no/where", "recogniser folder /no/where does not exist"),
        ("cascade:asr=transformers:/tmp#a/b", "unknown recogniser 'a/b': choose one of nvidia"),
        ("cascade:text=nobody", "unknown embedder 'nobody'"),
        ("cascade:text=raw:moonshine", "raw:moonshine does not embed text"),
        ("raw:whisper", "unknown embedder 'raw:whisper'"),
    ],
)
def test_names_that_lead_nowhere_say_what_to_do(name: str, message: str) -> None:
    with pytest.raises(EmbedderError, match=message):
        load_embedder(name)


def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[whisper\]"):
        Whisper(tmp_path).transcribe(tone(1.0, 16_000))
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[evaluate\]"):
        PocketSphinx().transcribe(tone(1.0, 16_000))


@needs_whisper
def test_a_damaged_whisper_model_is_named(tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(EmbedderError, match=f"{tmp_path} cannot be loaded"):
        Whisper(tmp_path).transcribe(tone(1.0, 16_000))


def test_another_whisper_model_has_another_revision(tmp_path: Path) -> None:
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_text("{}")
    first = Whisper(tmp_path).spec
    (tmp_path / "model.bin").write_text("[]")
    assert Whisper(tmp_path).spec.revision != first.revision
    assert Whisper(f"{tmp_path}/../{tmp_path.name}").spec.name == first.name


@needs_sphinx
def test_an_index_remembers_its_recogniser(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path, embedder="cascade:asr=pocketsphinx") as kb:
        kb.add([Document("a", text="Bread needs flour and water.")])
    with KnowledgeBase.open(tmp_path) as kb:
        assert kb.embedder.spec.name == "cascade:asr=pocketsphinx"
    with pytest.raises(IndexMismatchError, match="cascade:asr=pocketsphinx"):
        KnowledgeBase.open(tmp_path, embedder="cascade")


def test_the_untrained_encoder_is_the_mean_of_its_frames() -> None:
    clip = tone(1.0, 16_000)
    frames = Moonshine().frames(clip)
    assert frames.shape[1] == 288
    assert abs(len(frames) - 41.6) < 3, "frames a second"
    mean = frames.mean(0) / np.linalg.norm(frames.mean(0))
    np.testing.assert_allclose(
        RawMoonshine().embed([EmbedInput(clip=clip)], "query")[0], mean, atol=1e-6
    )


def test_words_beside_a_query_are_refused_where_only_sound_counts() -> None:
    item = EmbedInput(text="a tone", clip=tone(1.0, 16_000))
    with pytest.raises(EmbedderError, match="ask with the recording alone"):
        RawMoonshine().embed([item], "query")
    titled, plain = RawMoonshine().embed([item, EmbedInput(clip=item.clip)], "passage")
    np.testing.assert_array_equal(titled, plain)


def test_the_untrained_encoder_finds_sound_by_sound(tmp_path: Path) -> None:
    with KnowledgeBase.open(tmp_path, embedder="raw:moonshine") as kb:
        kb.add([Document(name, clip=tone(3.0, 16_000, float(name))) for name in ("200", "3000")])
        (best, *_) = kb.search(Query(clip=tone(3.0, 16_000, 3000.0)))
        assert best.passage.document_id == "3000"


@needs_models
def test_clap_gives_the_projections_of_transformers_model(tiny_clap: Path) -> None:
    import torch
    from transformers import ClapModel, ClapProcessor

    model, processor = (
        ClapModel.from_pretrained(tiny_clap).eval(),
        ClapProcessor.from_pretrained(tiny_clap),
    )
    clip = tone(10.0, 48_000)
    with torch.no_grad():
        text = model.get_text_features(
            **processor(text=["a dog barks"], return_tensors="pt", padding=True)
        )
        heard = model.get_audio_features(
            **processor(audio=[clip.samples], sampling_rate=48_000, return_tensors="pt")
        )
    expected = [
        row / np.linalg.norm(row)
        for found in (text, heard)
        for row in getattr(found, "pooler_output", found).numpy()
    ]
    ours = load_embedder(f"clap:{tiny_clap}").embed(
        [EmbedInput(text="a dog barks"), EmbedInput(clip=clip)], "passage"
    )
    np.testing.assert_allclose(ours, expected, atol=1e-4)


@needs_models
def test_a_clap_is_opened_by_its_folder(tiny_clap: Path) -> None:
    model = load_embedder(f"clap:{tiny_clap}")
    assert model.spec.name == f"clap:{tiny_clap.resolve()}"
    assert (model.spec.dim, model.spec.sampling_rate) == (16, 48_000)
    assert model.spec.max_audio_seconds == 10.0
    assert load_embedder("clap:laion/clap-htsat-unfused").spec.dim == 512


@needs_models
def test_what_is_no_clap_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="is not a readable CLAP config"):
        load_embedder(f"clap:{tmp_path}")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(EmbedderError, match="of a bert model"):
        load_embedder(f"clap:{tmp_path}")
    with pytest.raises(EmbedderError, match="ORG/unknown"):
        load_embedder("clap:ORG/unknown")


@needs_models
def test_what_hears_another_rate_says_that_it_cannot_index_recordings(
    tiny_clap: Path, tmp_path: Path
) -> None:
    with KnowledgeBase.open(tmp_path, embedder=f"clap:{tiny_clap}") as kb:
        report = kb.add([Document("a", clip=tone(1.0, 16_000)), Document("b", text="a bell")])
        assert report.added == ["b"]
        assert "needs 48000 Hz" in report.skipped[0][1]
