"""Speech recognition models of transformers, tiny and built from configs."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from wavrag.embed import Recogniser, load_embedder, load_recogniser
from wavrag.embed.recogniser import split_language
from wavrag.errors import EmbedderError, MissingExtraError
from wavrag.testing.embedder import tone
from wavrag.types import Clip

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("transformers"), reason="needs wavrag[models]"
)
RATE = 16_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def noise(seconds: float, seed: int = 0) -> Clip:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return Clip((0.1 * samples).astype(np.float32), RATE)


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny wav2vec 2.0 with a CTC head."""
    import torch
    from transformers import (
        Wav2Vec2Config,
        Wav2Vec2CTCTokenizer,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2ForCTC,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("ctc")
    names = ["<pad>", "<s>", "</s>", "<unk>", "|", *LETTERS]
    (folder / "vocab.json").write_text(json.dumps({name: at for at, name in enumerate(names)}))
    torch.manual_seed(0)
    config = Wav2Vec2Config(
        vocab_size=len(names), hidden_size=32, num_hidden_layers=1, num_attention_heads=2,
        intermediate_size=32, conv_dim=(32, 32), conv_stride=(20, 16), conv_kernel=(20, 16),
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
        initializer_range=1.0,  # so that letters differ between clips
    )  # fmt: skip
    Wav2Vec2ForCTC(config).eval().save_pretrained(folder)
    tokenizer = Wav2Vec2CTCTokenizer(str(folder / "vocab.json"))
    Wav2Vec2Processor(Wav2Vec2FeatureExtractor(), tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def seq2seq(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Moonshine."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        MoonshineConfig,
        MoonshineForConditionalGeneration,
        PreTrainedTokenizerFast,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Processor,
    )

    folder = tmp_path_factory.mktemp("seq2seq")
    names = ["<unk>", "<s>", "</s>", *LETTERS]
    letters = Tokenizer(models.WordLevel({n: i for i, n in enumerate(names)}, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.decoder = decoders.Fuse()
    torch.manual_seed(0)
    config = MoonshineConfig(
        vocab_size=len(names), hidden_size=32, intermediate_size=32,
        encoder_num_hidden_layers=1, decoder_num_hidden_layers=1,
        encoder_num_attention_heads=2, decoder_num_attention_heads=2,
        encoder_num_key_value_heads=2, decoder_num_key_value_heads=2, initializer_range=0.5,
        bos_token_id=1, eos_token_id=2, decoder_start_token_id=1, pad_token_id=2,
    )  # fmt: skip
    MoonshineForConditionalGeneration(config).eval().save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=letters, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    extractor = Wav2Vec2FeatureExtractor(do_normalize=False, return_attention_mask=True)
    Wav2Vec2Processor(extractor, tokenizer).save_pretrained(folder)
    return folder


def test_ctc_letters_are_those_of_the_network(ctc: Path) -> None:
    import torch
    from transformers import AutoModelForCTC, AutoProcessor

    processor, model = AutoProcessor.from_pretrained(ctc), AutoModelForCTC.from_pretrained(ctc)
    recogniser = load_recogniser(f"transformers:{ctc}")
    transcripts = set()
    for seed in range(3):
        clip = noise(1.0, seed)
        inputs = processor(clip.samples, sampling_rate=RATE, return_tensors="pt")
        with torch.no_grad():
            ids = model(**inputs).logits.argmax(-1)
        expected = processor.batch_decode(ids)[0].strip()
        assert expected
        assert recogniser.transcribe(clip) == expected
        transcripts.add(expected)
    assert len(transcripts) == 3


def test_a_decoder_is_greedy_and_ends(seq2seq: Path) -> None:
    import torch
    from transformers import AutoModelForSpeechSeq2Seq, AutoProcessor

    processor = AutoProcessor.from_pretrained(seq2seq)
    model = AutoModelForSpeechSeq2Seq.from_pretrained(seq2seq).eval()
    clip = noise(1.0)
    inputs = processor(clip.samples, sampling_rate=RATE, return_tensors="pt")
    tokens = [1]
    with torch.no_grad():
        while len(tokens) < 1 + 8 + 6 and tokens[-1] != 2:
            logits = model(**inputs, decoder_input_ids=torch.tensor([tokens])).logits
            tokens.append(int(logits[0, -1].argmax()))
    expected = processor.batch_decode([tokens], skip_special_tokens=True)[0].strip()
    assert expected
    assert load_recogniser(f"transformers:{seq2seq}").transcribe(clip) == expected


def test_short_and_silent_clips(ctc: Path) -> None:
    recogniser = load_recogniser(f"transformers:{ctc}")
    assert isinstance(recogniser, Recogniser)
    assert recogniser.transcribe(Clip(np.zeros(RATE, np.float32), RATE)) == ""
    assert isinstance(recogniser.transcribe(tone(0.01, RATE)), str)


def test_name_revision_and_languages(ctc: Path) -> None:
    spec = load_recogniser(f"transformers:{ctc}@de").spec
    assert spec.name == f"transformers:{ctc}@de"
    assert spec.languages == ("de",)
    assert load_recogniser(spec.name).spec == spec
    assert load_recogniser(f"transformers:{ctc}").spec.revision != spec.revision
    copy = load_recogniser(f"transformers:{ctc}#nvidia/parakeet-tdt-0.6b-v3").spec
    assert (len(copy.languages), copy.licence) == (25, "CC-BY-4.0")
    hub = load_recogniser("transformers:UsefulSensors/moonshine-base").spec
    assert (hub.name, hub.languages) == ("transformers:UsefulSensors/moonshine-base", ("en",))
    name = f"cascade:asr=transformers:{ctc}@de,text=fake"
    assert load_embedder(name).spec.name == name


def test_folders_with_at_signs_keep_them() -> None:
    assert split_language("/a@b/model") == ("/a@b/model", None)
    assert split_language("/a@b/model@de") == ("/a@b/model", "de")


def test_errors_name_folder_and_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EmbedderError, match=f"{tmp_path} cannot be loaded"):
        load_recogniser(f"transformers:{tmp_path}").transcribe(noise(1.0))
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(MissingExtraError, match=r"wavrag\[models\]"):
        load_recogniser(f"transformers:{tmp_path}").transcribe(noise(1.0))


def test_whisper_is_told_its_language(tmp_path: Path) -> None:
    import torch
    from transformers import (
        GenerationConfig,
        WhisperConfig,
        WhisperFeatureExtractor,
        WhisperForConditionalGeneration,
        WhisperProcessor,
        WhisperTokenizer,
    )

    languages, tasks = ["<|en|>", "<|de|>"], ["<|translate|>", "<|transcribe|>"]
    special = ["<|endoftext|>", "<|startoftranscript|>", *languages, *tasks, "<|notimestamps|>"]
    names = [*LETTERS, *special]
    ids = {name: at for at, name in enumerate(names)}
    tokenizer = WhisperTokenizer(vocab=ids, merges=[], additional_special_tokens=special[1:])
    torch.manual_seed(0)
    config = WhisperConfig(
        vocab_size=len(names), d_model=32, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=32,
        decoder_ffn_dim=32, init_std=1.0, max_target_positions=32, pad_token_id=ids[special[0]],
        bos_token_id=ids[special[0]], eos_token_id=ids[special[0]],
        decoder_start_token_id=ids[special[1]], suppress_tokens=None, begin_suppress_tokens=None,
    )  # fmt: skip
    model = WhisperForConditionalGeneration(config).eval()
    model.generation_config = GenerationConfig(
        is_multilingual=True, lang_to_id={name: ids[name] for name in languages},
        task_to_id={"translate": ids[tasks[0]], "transcribe": ids[tasks[1]]},
        no_timestamps_token_id=ids["<|notimestamps|>"], max_length=16,
        decoder_start_token_id=ids[special[1]], eos_token_id=ids[special[0]],
        pad_token_id=ids[special[0]],
    )  # fmt: skip
    model.save_pretrained(tmp_path)
    WhisperProcessor(WhisperFeatureExtractor(), tokenizer).save_pretrained(tmp_path)
    texts = {}
    for language in ("en", "de"):
        recogniser = load_recogniser(f"transformers:{tmp_path}@{language}")
        texts[language] = recogniser.transcribe(noise(1.0))
        features = WhisperFeatureExtractor()(
            noise(1.0).samples, sampling_rate=RATE, return_tensors="pt"
        )
        tokens = [ids[special[1]], ids[f"<|{language}|>"], ids[tasks[1]], ids["<|notimestamps|>"]]
        prompt = len(tokens)
        with torch.no_grad():
            while len(tokens) < 16 and tokens[-1] != ids[special[0]]:
                logits = model(**features, decoder_input_ids=torch.tensor([tokens])).logits
                tokens.append(int(logits[0, -1].argmax()))
        expected = tokenizer.decode(tokens[prompt:], skip_special_tokens=True).strip()
        assert expected
        assert texts[language].startswith(expected)
    assert texts["en"] != texts["de"]
