"""A Qwen2-Audio with about 100,000 random parameters: the real classes with a small config."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from wavrag.audio import SAMPLE_RATE, write_wav
from wavrag.data import Content, TrainingRecord, write_records
from wavrag.types import Clip

SPECIAL = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>",
)  # fmt: skip
WORDS = (
    "ash", "birch", "cedar", "dogwood", "elm", "fir", "gum", "holly", "ivy", "juniper", "kapok",
    "larch", "maple", "nutmeg", "oak", "pine",
)  # fmt: skip
SECONDS = 2  # input length of the encoder, seconds
WIDTH = 64  # of the layers


def build_tiny(folder: Path, *, seed: int = 0, with_head: bool = False) -> None:
    """Write a model folder with random weights, feature extractor and byte-level tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioModel,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: at for at, token in enumerate([*letters, *SPECIAL])}
    bpe = Tokenizer(models.BPE(vocabulary, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bpe.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=bpe,
        eos_token=SPECIAL[0],
        pad_token=SPECIAL[0],
        additional_special_tokens=list(SPECIAL[1:]),
        padding_side="left",
    )
    extractor = WhisperFeatureExtractor(  # type: ignore[no-untyped-call]
        feature_size=128, chunk_length=SECONDS
    )
    config = Qwen2AudioConfig(
        audio_config={
            "model_type": "qwen2_audio_encoder", "num_mel_bins": 128, "d_model": WIDTH,
            "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 2 * WIDTH,
            "max_source_positions": 50 * SECONDS,
        },
        text_config={
            "model_type": "qwen2", "vocab_size": len(vocabulary), "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 4096,
            "pad_token_id": vocabulary[SPECIAL[0]],
        },
        audio_token_index=vocabulary["<|AUDIO|>"],
    )  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = (Qwen2AudioForConditionalGeneration if with_head else Qwen2AudioModel)(config)
    model.save_pretrained(folder)
    processor = Qwen2AudioProcessor(extractor, tokenizer)  # type: ignore[no-untyped-call]
    processor.save_pretrained(folder)


def write_tones(folder: Path) -> None:
    """Write records of all five directions that pair tones with words."""
    records = []
    for at, word in enumerate(WORDS):
        low, high = (folder / f"{word}-{name}.wav" for name in ("low", "high"))
        for path, seconds in ((low, 0.5), (high, 0.7)):
            path.parent.mkdir(parents=True, exist_ok=True)
            time = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
            tone = 0.3 * np.sin(2 * np.pi * 200 * 1.25**at * time)
            write_wav(path, Clip(tone.astype(np.float32), SAMPLE_RATE))
        sound, second = (Content(audio=str(path), transcript=word) for path in (low, high))
        pairs = {
            "S2T": (sound, Content(text=word)),
            "T2T": (Content(text=f"which is {word}?"), Content(text=word)),
            "S2S": (sound, second),
            "T2S": (Content(text=word), sound),
            "AT2AT": (replace(sound, text="the tree"), replace(second, text=word)),
        }
        for direction, (query, positive) in pairs.items():
            records.append(
                TrainingRecord(f"tones/{direction}/{word}", query, (positive,), (), "tones")
            )
    write_records(folder / "records.jsonl", records)
