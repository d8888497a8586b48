"""A CLAP built from a config, in the folder layout that transformers writes."""

from __future__ import annotations

from pathlib import Path


def build_clap(folder: Path) -> None:
    """A tiny CLAP: two towers, ten seconds, 48 kHz, random weights."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapProcessor,
        RobertaTokenizerFast,
    )

    letters = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", *pre_tokenizers.ByteLevel.alphabet()]
    bpe = Tokenizer(models.BPE({letter: at for at, letter in enumerate(letters)}, []))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    config = ClapConfig(
        text_config={
            "vocab_size": len(letters), "hidden_size": 32, "num_hidden_layers": 1,
            "num_attention_heads": 2, "intermediate_size": 32, "projection_dim": 16,
            "max_position_embeddings": 130,
        },
        audio_config={
            "spec_size": 256, "num_mel_bins": 64, "patch_embeds_hidden_size": 8,
            "hidden_size": 64, "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1],
            "projection_dim": 16, "enable_fusion": False, "num_classes": 2,
        },
        projection_dim=16,
    )  # fmt: skip
    ClapModel(config).save_pretrained(folder)
    tokens = RobertaTokenizerFast(tokenizer_object=bpe, model_max_length=128)
    extractor = ClapFeatureExtractor(truncation="rand_trunc", padding="repeatpad")
    ClapProcessor(extractor, tokens).save_pretrained(folder)
