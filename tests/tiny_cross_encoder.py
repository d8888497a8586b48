"""A cross-encoder built from a config, in the folder layouts of transformers and of ONNX."""

from __future__ import annotations

import warnings
from pathlib import Path

LIMIT = 48  # tokens of a pair
WORDS = "bees dance where flowers are the moon pulls sea bread needs flour and water a ?".split()


def build_cross_encoder(folder: Path, labels: int = 1) -> None:
    """A tiny BERT with random weights: `model.safetensors` and `model.onnx`."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS]
    ids = {word: at for at, word in enumerate(vocabulary)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    torch.manual_seed(3)
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=2,
        intermediate_size=64, max_position_embeddings=LIMIT, num_labels=labels,
        initializer_range=0.5,  # so that scores differ
    )  # fmt: skip
    model = BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    BertTokenizerFast(tokenizer_object=tokenizer, model_max_length=LIMIT).save_pretrained(folder)
    names = ["input_ids", "attention_mask", "token_type_ids"]
    rows = torch.tensor([[2, 5, 3, 6, 3]])
    model.config.return_dict = False
    with warnings.catch_warnings():
        # The TorchScript exporter is deprecated; it needs no further package.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (rows, torch.ones_like(rows), torch.tensor([[0, 0, 0, 1, 1]])),
            str(folder / "model.onnx"), input_names=names, output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "tokens"} for name in names}, dynamo=False,
        )  # fmt: skip
