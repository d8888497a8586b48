"""Models of sentence-transformers behind the embedder seam, on tiny random ones."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from audio_files import tone
from tiny_clap import build_clap
from wavrag import KnowledgeBase
from wavrag.embed import load_embedder
from wavrag.errors import EmbedderError, IndexMismatchError, MissingExtraError
from wavrag.testing.embedder import EmbedderConformance
from wavrag.types import Clip, Document, EmbedInput, Query

pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

from wavrag.embed.model_specs import SPEC_FILE, spec_for, write_spec
from wavrag.embed.sentence_model import SentenceModel
from wavrag.train.contrastive.tiny import build_tiny

RATE = 16_000
HEARS = replace(
    spec_for("Qwen/Qwen2-Audio-7B"),
    name="tiny",
    dim=64,
    dtype="float32",
    max_audio_seconds=5.0,
    chunk_seconds=2.0,
    max_text_tokens=300,
)


def clip(seconds: float, hertz: float = 440.0) -> Clip:
    return Clip(tone(hertz, seconds, RATE).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Qwen2-Audio as it is published: without a word about pooling."""
    folder = tmp_path_factory.mktemp("tiny modèle")
    build_tiny(folder)
    write_spec(HEARS, folder)
    return folder


@pytest.fixture(scope="module")
def hearing(folder: Path) -> SentenceModel:
    return SentenceModel(folder, device="cpu")


class TestHearing(EmbedderConformance):
    batch_tolerance = 1e-4

    @pytest.fixture
    def embedder(self, hearing: SentenceModel) -> SentenceModel:
        return hearing

    @pytest.fixture
    def inputs(self) -> list[EmbedInput]:
        inputs = [
            EmbedInput(text=text) for text in ("a dog barks", "", "谁写的?", "many words " * 100)
        ]
        inputs += [EmbedInput(clip=clip(seconds)) for seconds in (0.01, 0.2, 1.9, 4.5)]
        inputs.append(EmbedInput(clip=Clip(np.zeros(8000, np.float32), RATE)))
        return [
            *inputs,
            EmbedInput(text="what is this?", clip=clip(1.0)),
            EmbedInput(text="x", clip=clip(3.0)),
        ]


@pytest.fixture(scope="class")
def bert(tmp_path_factory: pytest.TempPathFactory) -> SentenceModel:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    letters = ["[PAD]", "[UNK]", *pre_tokenizers.ByteLevel.alphabet()]
    bpe = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokens = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="[PAD]", unk_token="[UNK]", model_max_length=40
    )
    tokens.save_pretrained(folder)
    BertModel(
        BertConfig(
            vocab_size=len(letters), hidden_size=32, num_hidden_layers=1,
            num_attention_heads=2, intermediate_size=32, max_position_embeddings=64,
        )
    ).save_pretrained(folder)  # fmt: skip
    spec = replace(
        HEARS, name="bert", dim=32, pooling="mean", modalities=frozenset({"text"}),
        max_text_tokens=40, query_prompt="q: ", passage_prompt="",
    )  # fmt: skip
    write_spec(spec, folder)
    return SentenceModel(folder, device="cpu")


class TestTextOnly(EmbedderConformance):
    batch_tolerance = 1e-5

    @pytest.fixture
    def embedder(self, bert: SentenceModel) -> SentenceModel:
        return bert

    @pytest.fixture
    def inputs(self) -> list[EmbedInput]:
        return [EmbedInput(text=text) for text in ("a dog barks", "a", "many words " * 40)]

    def test_no_word_of_a_long_text_is_left_out(self, embedder: SentenceModel) -> None:
        words = "many words " * 40
        one, other = embedder.embed(
            [EmbedInput(text=words), EmbedInput(text=f"{words} end")], "passage"
        )
        assert np.abs(one - other).max() > 1e-4

    def test_query_and_passage_have_their_own_prompts(self, embedder: SentenceModel) -> None:
        query = embedder.embed([EmbedInput(text="dog")], "query")
        passage = embedder.embed([EmbedInput(text="q: dog")], "passage")
        np.testing.assert_allclose(query, passage, atol=1e-6)
        assert np.abs(query - embedder.embed([EmbedInput(text="dog")], "passage")).max() > 1e-3


def test_every_second_of_a_recording_is_heard(hearing: SentenceModel) -> None:
    samples = clip(4.8).samples
    vectors = []
    for second in (None, 0.5, 2.5, 4.7):
        changed = samples.copy()
        if second is not None:
            changed[int(second * RATE) : int((second + 0.08) * RATE)] *= -0.2
        vectors.append(hearing.embed([EmbedInput(clip=Clip(changed, RATE))], "passage")[0])
    for vector in vectors[1:]:
        assert np.abs(vector - vectors[0]).max() > 1e-5


def test_a_tokenizer_that_takes_few_tokens_cuts_no_sound(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "short")
    settings = tmp_path / "short" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_max_length": 100}))
    inputs = [EmbedInput(clip=clip(4.8)), EmbedInput(text="words " * 40)]
    whole = SentenceModel(folder, device="cpu").embed(inputs, "passage")
    short = SentenceModel(tmp_path / "short", device="cpu").embed(inputs, "passage")
    np.testing.assert_allclose(short, whole, atol=1e-6)


def test_what_belongs_into_the_message_is_put_there(folder: Path) -> None:
    asked = replace(
        HEARS, query_prompt="ask: ", prompt_role="user", text_suffix=" in a word",
        audio_suffix=" as heard",
    )  # fmt: skip
    plain = replace(HEARS, query_prompt="", passage_prompt="")
    one = SentenceModel(folder, asked, device="cpu")
    other = SentenceModel(folder, plain, device="cpu")
    sound = clip(1.0)
    given = [EmbedInput(text="dog"), EmbedInput(clip=sound), EmbedInput(text="dog", clip=sound)]
    meant = [
        EmbedInput(text="ask: dog in a word"),
        EmbedInput(text="ask:  as heard", clip=sound),
        EmbedInput(text="ask: dog as heard", clip=sound),
    ]
    np.testing.assert_allclose(one.embed(given, "query"), other.embed(meant, "query"), atol=1e-6)


def test_two_towers_embed_text_sound_and_the_mean_of_both(tmp_path: Path) -> None:
    build_clap(tmp_path)
    known = spec_for("laion/clap-htsat-unfused")
    model = SentenceModel(
        tmp_path, replace(known, name="clap", dim=16, max_text_tokens=100), device="cpu"
    )
    sound = Clip(tone(440, 1.0, 48_000).astype(np.float32), 48_000)
    text, heard, both = model.embed(
        [EmbedInput(text="a dog"), EmbedInput(clip=sound), EmbedInput(text="a dog", clip=sound)],
        "passage",
    )
    mean = (text + heard) / np.linalg.norm(text + heard)
    np.testing.assert_allclose(both, mean, atol=1e-4)
    assert abs(float(text @ heard)) < 0.999
    long = Clip(np.zeros(11 * 48_000, np.float32), 48_000)
    with pytest.raises(EmbedderError, match="at most 10 s"):
        model.embed([EmbedInput(clip=long)], "passage")


def test_a_knowledge_base_is_made_and_opened_again_by_name(folder: Path, tmp_path: Path) -> None:
    name = f"st:{folder}"
    documents = [
        Document("low", clip=clip(1.0, 200)),
        Document("high", clip=clip(1.0, 3000)),
        Document("words", text="A dog barks at the church bells."),
    ]
    with KnowledgeBase.open(tmp_path / "kb", embedder=name) as base:
        base.add(documents)
    with KnowledgeBase.open(tmp_path / "kb") as base:
        assert base.embedder.spec.name == name
        (first, *_) = base.search(Query(clip=clip(1.0, 3000)), k=1)
        assert base.count() == 3
        assert first.passage.document_id == "high"
    write_spec(replace(HEARS, passage_prompt="another"), folder)
    try:
        with pytest.raises(IndexMismatchError):
            KnowledgeBase.open(tmp_path / "kb")
    finally:
        write_spec(HEARS, folder)


def test_the_revision_is_the_same_in_every_process_and_ignores_notes(folder: Path) -> None:
    program = (
        "import sys; from wavrag.embed import load_embedder;"
        "print(load_embedder(sys.argv[1]).spec.revision)"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program, f"st:{folder}"], check=True, capture_output=True,
            text=True, env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert found == {SentenceModel(folder).spec.revision}
    noted = SentenceModel(folder, replace(HEARS, note="read this"))
    assert noted.spec.revision in found
    assert SentenceModel(folder, replace(HEARS, query_prompt="x")).spec.revision not in found


def test_a_model_without_a_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match=rf"{SPEC_FILE}"):
        load_embedder(f"st:{tmp_path}")
    with pytest.raises(EmbedderError, match="ORG/unknown"):
        load_embedder("st:ORG/unknown")


def test_a_copy_of_a_known_model_takes_its_contract(folder: Path) -> None:
    model = load_embedder(f"st:{folder}#Qwen/Qwen2-Audio-7B")
    assert model.spec.dim == 4096
    with pytest.raises(EmbedderError, match=r"64 dimensions.*4096"):
        model.embed([EmbedInput(text="x")], "query")


def test_many_vectors_are_refused() -> None:
    with pytest.raises(EmbedderError, match="a vector per token"):
        load_embedder("st:vidore/colqwen-omni-v0.1")


def test_a_model_that_hears_less_than_its_contract_says_is_refused(folder: Path) -> None:
    model = SentenceModel(folder, replace(HEARS, chunk_seconds=3.0), device="cpu")
    with pytest.raises(EmbedderError, match=r"takes 2 s of audio.*would be truncated"):
        model.load()


def test_other_pooling_than_the_contract_says_is_refused(
    hearing: SentenceModel, tmp_path: Path
) -> None:
    hearing.network.save_pretrained(str(tmp_path), create_model_card=False)
    with pytest.raises(EmbedderError, match=r"lasttoken.*'mean'"):
        SentenceModel(tmp_path, replace(HEARS, pooling="mean"), device="cpu").load()


def test_a_folder_without_weights_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderError, match="cannot be loaded"):
        SentenceModel(tmp_path, HEARS, device="cpu").load()


def test_damaged_weights_give_an_error_and_no_vectors(folder: Path) -> None:
    import torch

    model = SentenceModel(folder, device="cpu")
    with torch.no_grad():
        next(model.network.parameters()).fill_(float("nan"))
    with pytest.raises(EmbedderError, match="not finite"):
        model.embed([EmbedInput(clip=clip(1.0))], "query")


def test_without_the_extra_it_is_named(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[models\]"):
        SentenceModel(folder).load()
