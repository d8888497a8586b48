"""Write the package's Moonshine tiny (English) from the published wheel.

    pip install -e ".[train]"
    python tools/convert_moonshine.py
    python tools/convert_moonshine.py --extract FOLDER

pip downloads the wheel `moonshine-voice` 0.0.73 (MIT), on any platform; its SHA-256 is checked. Of
its 56 MB, the package ships 21 MB:

- `encoder.onnx`: samples to encoder states, over the weights of WavRetriever's `encoder.onnx`.

- `decoder.bin`: the 8-bit matrices. The published file has that of the tokens twice, in rows for
  the embedding and in columns for the logits; this file has the columns.
- `cross.onnx`: encoder states of a clip to the keys and values of the cross-attention.
- `step.onnx`: one token of one clip, with the quantisation of the published graph.
- `batch_step.onnx`: one token of several clips; activations are quantised per clip, so that a
  transcript does not depend on the other clips.
- `tokenizer.bin`: the vocabulary, as published.

The graphs of the decoder refer to its matrices by their offsets. The script prints the CRC-32 of
`decoder.bin`; `wavrag.embed.moonshine_decoder` refuses any other file.
With `--extract`, the published files are written to a folder instead: `benchmarks/decoder.py`
compares with them.
"""

from __future__ import annotations

import argparse
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from moonshine_encoder_graph import MICROSOFT, TYPES, Graph, build_encoder
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
    InferenceSession,
)
from published_wheel import download_wheel

from wavrag.embed import ENCODER_FILE, WAVRETRIEVER_WEIGHTS
from wavrag.embed.moonshine_decoder import (
    HEAD_SIZE,
    HEADS,
    LAYERS,
    MAX_TOKENS,
    MOONSHINE_WEIGHTS,
    WEIGHTS,
)

PACKAGE, PLATFORM = "moonshine-voice==0.0.73", "manylinux_2_34_x86_64"
SHA256 = "6461c8097ed78d054c46b4c821143008a07b5fa1f4169674493ccfa06c1407db"
ASSETS = "moonshine_voice/assets/tiny-en/"
ENCODER, DECODER = "encoder_model.ort", "decoder_model_merged.ort"
TOKENIZER = "tokenizer.bin"
WIDTH = HEADS * HEAD_SIZE
INNER = 1152  # width of the MLP after its gate
ROTARY = 32  # rotary dimensions, of the 36 of a head
ALIGNMENT = 64  # bytes; ONNX Runtime maps the constants from the file
INLINE_BYTES = 1024  # smaller constants are copied into the graphs
TABLE = "model.decoder.embed_tokens.weight_merged_0"


def read_published(wheel: Path) -> dict[str, bytes]:
    """Read the model files in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(ASSETS + name) for name in (ENCODER, DECODER, TOKENIZER)}


class Source:
    """Constants of the published decoder, and the file of matrices that the graphs refer to."""

    def __init__(self, data: bytes) -> None:
        graph = InferenceSession.GetRootAsInferenceSession(data, 0).Model().Graph()
        self.tensors: dict[str, tuple[int, list[int], bytes]] = {}
        for i in range(graph.InitializersLength()):
            tensor = graph.Initializers(i)
            values = tensor.RawDataAsNumpy()
            dims = [tensor.Dims(j) for j in range(tensor.DimsLength())]
            self.tensors[tensor.Name().decode()] = tensor.DataType(), dims, values.tobytes()
        # Matrices have no stable names; the names of their products have layer and role.
        self._products: dict[str, str] = {}
        branches = graph.Nodes(1)  # the first step, and the steps with a cache
        for i in range(branches.AttributesLength()):
            if branches.Attributes(i).Name() == b"else_branch":
                branch = branches.Attributes(i).G()
                for j in range(branch.NodesLength()):
                    node = branch.Nodes(j)
                    if node.OpType() in (b"DynamicQuantizeMatMul", b"MatMulIntegerToFloat"):
                        name = node.Inputs(1).decode().removesuffix("_quantized")
                        self._products[node.Outputs(0).decode()] = name
        self.matrices = bytearray()  # content of the file
        self._offsets: dict[str, int] = {}
        self._check_table()

    def _check_table(self) -> None:
        """Check that embedding and logits have the same matrix, so that one serves both."""
        rows, columns = TABLE, self.find_matrix("logits")
        for field in ("scale", "zero_point"):
            assert self.tensors[f"{rows}_{field}"][2] == self.tensors[f"{columns}_{field}"][2]
        arrays = [
            np.frombuffer(values, TYPES[kind]).reshape(dims)
            for kind, dims, values in (self.tensors[f"{n}_quantized"] for n in (rows, columns))
        ]
        assert np.array_equal(arrays[0], arrays[1].T)

    def find_matrix(self, role: str) -> str:
        """Return the name of the matrix whose product has the role in its name."""
        [name] = [name for product, name in self._products.items() if role in product]
        return name

    def store(self, name: str) -> int:
        """Return the offset of a constant in the file of matrices; add it there if need be."""
        if name not in self._offsets:
            self._offsets[name] = len(self.matrices)
            self.matrices += self.tensors[name][2]
            self.matrices += bytes(-len(self.matrices) % ALIGNMENT)
        return self._offsets[name]


class DecoderGraph(Graph):
    """Graph over the matrices of the decoder."""

    def __init__(self, source: Source, batch: bool = False) -> None:
        super().__init__()
        self._source = source
        self._batch = batch

    def constant(self, name: str, values: Any) -> str:
        """Return the name of a constant of the graph."""
        self._constants.setdefault(name, numpy_helper.from_array(np.asarray(values), name))
        return name

    def weight(self, name: str) -> str:
        """Return the name of a constant of the published decoder."""
        kind, dims, values = self._source.tensors[name]
        if len(values) < INLINE_BYTES:
            return self.constant(name, np.frombuffer(values, TYPES[kind]).reshape(dims))
        tensor = TensorProto(name=name, data_type=kind, dims=dims, raw_data=values)
        set_external_data(tensor, WEIGHTS, self._source.store(name), len(values))
        tensor.ClearField("raw_data")
        self._constants[name] = tensor
        return name

    def normalise(self, x: str, name: str) -> str:
        """Add a layer norm without bias."""
        weight = self.weight(f"model.decoder.{name}.weight_merged_0")
        normalised: str = self.add("LayerNormalization", [x, weight], axis=-1, epsilon=1e-5)
        return normalised

    def quantise(self, x: str, width: int = WIDTH) -> list[str]:
        """Add 8-bit quantisation; return values, scale and zero point.

        In a batch, every row has its own scale, computed as `DynamicQuantizeLinear` computes the
        scale of a tensor.
        """
        if not self._batch:
            quantised: list[str] = self.add("DynamicQuantizeLinear", [x], 3)
            return quantised
        axis, zero = self.constant("axis", [-1]), self.constant("zero", np.float32(0))
        low, high = (self.add(f"Reduce{end}", [x, axis], keepdims=1) for end in ("Min", "Max"))
        if not x.startswith("LayerNormalization"):  # its rows have values of both signs
            low, high = self.add("Min", [low, zero]), self.add("Max", [high, zero])
        levels = self.constant("levels", np.float32(255))
        scale = self.add("Div", [self.add("Sub", [high, low]), levels])
        zero_point = self.add("Round", [self.add("Neg", [self.add("Div", [low, scale])])])
        integer = self.add("Cast", [zero_point], to=TensorProto.UINT8)
        values = self.add(
            "QuantizeLinear", [x, scale, integer], axis=-1, block_size=width
        )  # a block per row
        return [values, scale, zero_point]

    def multiply(
        self, quantised: list[str], role: str, bias: str = "", relative: bool = False
    ) -> str:
        """Add the product with a matrix.

        Args:
            quantised: values, scale and zero point.
            role: part of the name of the product in the published graph.
            bias: name of the bias.
            relative: True if only the order of the values of a row matters.
        """
        values, scale, zero_point = quantised
        matrix = self._source.find_matrix(role)
        weight, weight_scale, weight_zero = (
            self.weight(f"{matrix}_{field}") for field in ("quantized", "scale", "zero_point")
        )
        biases = [self.weight(bias)] if bias else []
        if not self._batch:
            inputs = [values, weight, scale, weight_scale, zero_point, weight_zero, *biases]
            product: str = self.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT)
            return product
        # The operator takes a single zero point for all rows. So the rows' zero points are
        # subtracted afterwards, times the sums of the columns, which are computed at load time.
        one, none = self.constant("one", np.float32(1)), self.constant("none", np.uint8(0))
        inputs = [values, weight, one, one, none, weight_zero]
        product = self.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT)
        width = self._source.tensors[f"{matrix}_quantized"][1][0]
        ones = self.constant(f"ones_{width}", np.ones((1, width), np.uint8))
        sums = self.add("MatMulInteger", [ones, weight, none, weight_zero])
        sums = self.add("Cast", [sums], to=TensorProto.FLOAT)
        product = self.add("Sub", [product, self.add("Mul", [zero_point, sums])])
        if relative:
            return product
        product = self.add("Mul", [product, self.add("Mul", [scale, weight_scale])])
        return self.add("Add", [product, *biases]) if bias else product


def value(name: str, kind: int, *shape: Any) -> Any:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


def caches(prefix: str, batch: Any, length: str) -> list[Any]:
    """Return the descriptions of the keys and values of all layers."""
    return [
        value(f"{prefix}{kind}_{i}", TensorProto.FLOAT, batch, HEADS, length, HEAD_SIZE)
        for i in range(LAYERS)
        for kind in ("key", "value")
    ]


def build_cross(source: Source) -> onnx.ModelProto:
    """Build the graph of the keys and values of the encoder states, (1, t, 288)."""
    graph = DecoderGraph(source)
    quantised = graph.quantise("frames")
    shape = graph.constant("shape", [0, -1, HEADS, HEAD_SIZE])
    for i in range(LAYERS):
        for kind in ("key", "value"):
            x = graph.multiply(quantised, f"layers.{i}/encoder_attn/{kind[0]}_proj")
            x = graph.add("Reshape", [x, shape])
            graph.add("Transpose", [x], [f"cross_{kind}_{i}"], perm=[0, 2, 1, 3])
    frames = value("frames", TensorProto.FLOAT, 1, "t", WIDTH)
    return graph.build([frames], caches("cross_", 1, "t"))


def add_layer(graph: DecoderGraph, x: str, i: int) -> str:
    """Add a layer of the decoder: self-attention, cross-attention, gated MLP."""
    attention = {"domain": MICROSOFT, "num_heads": HEADS, "scale": HEAD_SIZE**-0.5}
    angles = np.arange(MAX_TOKENS)[:, None] * 10_000.0 ** (-np.arange(0, ROTARY, 2) / ROTARY)
    cos = graph.constant("cos", np.cos(angles).astype(np.float32))
    sin = graph.constant("sin", np.sin(angles).astype(np.float32))
    y = graph.quantise(graph.normalise(x, f"layers.{i}.input_layernorm"))
    query, key, values = (graph.multiply(y, f"layers.{i}/self_attn/{r}_proj") for r in "qkv")
    query, key = (
        graph.add(
            "RotaryEmbedding", [head, "position", cos, sin], domain=MICROSOFT, interleaved=1,
            num_heads=HEADS, rotary_embedding_dim=ROTARY,
        )
        for head in (query, key)
    )  # fmt: skip
    y = graph.add(
        "DecoderMaskedMultiHeadAttention",
        [query, key, values, "", "", f"key_{i}", f"value_{i}", "length"],
        [f"attention_{i}", f"new_key_{i}", f"new_value_{i}"],
        past_present_share_buffer=1,
        **attention,
    )[0]
    y = graph.multiply(graph.quantise(y), f"layers.{i}/self_attn/o_proj")
    x = graph.add("Add", [x, y])
    y = graph.quantise(graph.normalise(x, f"layers.{i}.post_attention_layernorm"))
    query = graph.multiply(y, f"layers.{i}/encoder_attn/q_proj")
    y = graph.add(
        "DecoderMaskedMultiHeadAttention",
        [query, f"cross_key_{i}", f"cross_value_{i}", "mask"],
        **attention,
    )
    y = graph.multiply(graph.quantise(y), f"layers.{i}/encoder_attn/o_proj")
    x = graph.add("Add", [x, y])
    y = graph.quantise(graph.normalise(x, f"layers.{i}.final_layernorm"))
    mlp = f"model.decoder.layers.{i}.mlp"
    y = graph.multiply(y, f"layers.{i}/mlp/fc1", f"{mlp}.fc1.bias_merged_0")
    y, gate = graph.add("Split", [y], 2, axis=-1, num_outputs=2)
    gate = graph.add("QuickGelu", [gate], domain=MICROSOFT, alpha=1.0)  # SiLU
    y = graph.quantise(graph.add("Mul", [gate, y]), INNER)
    y = graph.multiply(y, f"layers.{i}/mlp/fc2", f"{mlp}.fc2.bias_merged_0")
    total: str = graph.add("Add", [x, y])
    return total


def build_step(source: Source, batch: bool) -> onnx.ModelProto:
    """Build the graph of a decoding step, from the last token of each clip to the next."""
    graph = DecoderGraph(source, batch)
    table = source.find_matrix("logits")
    x = graph.add("Gather", [graph.weight(f"{table}_quantized"), "token"], axis=1)
    x = graph.add("Transpose", [x], perm=[1, 2, 0])
    scales = [graph.weight(f"{table}_{field}") for field in ("scale", "zero_point")]
    x = graph.add("DequantizeLinear", [x, *scales])
    for i in range(LAYERS):
        x = add_layer(graph, x, i)
    y = graph.quantise(graph.normalise(x, "norm"))
    logits = graph.multiply(y, "logits", relative=True)
    graph.add("ArgMax", [logits], ["next_token"], axis=-1, keepdims=0)
    inputs = [
        value("token", TensorProto.INT64, "b", 1),
        value("position", TensorProto.INT64, 1),
        value("length", TensorProto.INT32, 1),
        value("mask", TensorProto.INT32, "b", "t"),
        *caches("", "b", "n"),
        *caches("cross_", "b", "t"),
    ]
    outputs = [value("next_token", TensorProto.INT64, "b", 1), *caches("new_", "b", "n")]
    return graph.build(inputs, outputs)


def write_model(published: dict[str, bytes], folder: Path) -> None:
    """Write graphs, matrices and vocabulary; print the checksum of the matrices."""
    source = Source(published[DECODER])
    models = {
        "encoder": build_encoder(published[ENCODER], WAVRETRIEVER_WEIGHTS / ENCODER_FILE),
        "cross": build_cross(source),
        "step": build_step(source, batch=False),
        "batch_step": build_step(source, batch=True),
    }
    for name, model in models.items():
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    (folder / WEIGHTS).write_bytes(source.matrices)
    (folder / TOKENIZER).write_bytes(published[TOKENIZER])
    print(f"CRC-32 of {WEIGHTS}: {zlib.crc32(source.matrices):#010x}")


def main(argv: Sequence[str] | None = None) -> None:
    """Convert, or extract the published files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--extract", type=Path, metavar="FOLDER", help="write the published files to a folder"
    )
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        published = read_published(download_wheel(PACKAGE, PLATFORM, SHA256, Path(folder)))
    if arguments.extract is None:
        write_model(published, MOONSHINE_WEIGHTS)
        return
    arguments.extract.mkdir(parents=True, exist_ok=True)
    for name, data in published.items():
        (arguments.extract / name).write_bytes(data)


if __name__ == "__main__":
    main()
