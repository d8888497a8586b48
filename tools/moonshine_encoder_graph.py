"""Graph of Moonshine's published encoder over the weights of WavRetriever's `encoder.onnx`.

Both have the same weights: those of `encoder.onnx` were quantised again, per column, and so finely
that rounding gives the published integers back, but for some that the graph lists. The convolution
that is not quantised in the published file keeps its float precision by a second 8-bit matrix, of
the remainders. ONNX Runtime computes all this once, when it loads the graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.external_data_helper import set_external_data
from onnxruntime.tools.ort_format_model.ort_flatbuffers_py.fbs.InferenceSession import (
    InferenceSession,
)

from wavrag.train.mini.moonshine import HEADS, LAYERS, ROTARY, WIDTH

MICROSOFT = "com.microsoft"
SHARED_BYTES = 1024  # smaller constants are copied
REMAINDER_STEPS = 254  # steps of the remainders in one of the 8-bit weights
TYPES = {1: np.float32, 2: np.uint8}
VECTORS = {
    "stem.conv1.weight": "conv1.weight_add_tensor",
    "stem.conv2.weight": "conv2.weight_add_tensor",
    "stem.conv2.bias": "conv2.bias",
    "stem.conv3.weight": "conv3.weight_add_tensor",
    "stem.conv3.bias": "conv3.bias",
    "stem.scale": "onnx::Mul_2080",
    "stem.shift": "onnx::Add_2081",
    "norm.weight": "layer_norm.weight",
}
LAYER_VECTORS = {
    "up.bias": "mlp.fc1.bias",
    "down.bias": "mlp.fc2.bias",
    "attention_norm.weight": "input_layernorm.weight",
    "mlp_norm.weight": "post_attention_layernorm.weight",
}
LAYER_MATRICES = {
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "o_proj": "out",
    "fc1": "up",
    "fc2": "down",
}
Tensors = dict[str, np.ndarray[Any, Any]]


def read_encoder(data: bytes) -> Tensors:
    """Read the constants of `encoder_model.ort`, under the names of the parameters in `train.mini`.

    A matrix is 8-bit, shape = (n_in, n_out), beside its `scale` and its `zero_point`.
    """
    # The onnx package cannot read this format, so its flatbuffers are read directly.
    graph = InferenceSession.GetRootAsInferenceSession(data, 0).Model().Graph()
    published: Tensors = {}
    for tensor in map(graph.Initializers, range(graph.InitializersLength())):
        if tensor.DataType() in TYPES:
            values = np.frombuffer(tensor.RawDataAsNumpy().tobytes(), TYPES[tensor.DataType()])
            dims = [tensor.Dims(j) for j in range(tensor.DimsLength())]
            published[tensor.Name().decode()] = values.reshape(dims)
    constants = {name: published[source] for name, source in VECTORS.items()}
    for i in range(LAYERS):
        for name, source in LAYER_VECTORS.items():
            constants[f"layers.{i}.{name}"] = published[f"layers.{i}.{source}"]
    # Matrices have no stable names in the file; the names of their products have layer and role.
    for node in map(graph.Nodes, range(graph.NodesLength())):
        if node.OpType() in (b"DynamicQuantizeMatMul", b"MatMulIntegerToFloat"):
            _, layer, *_, role, _ = node.Outputs(0).decode().split("/")
            name, matrix = f"{layer}.{LAYER_MATRICES[role]}.weight", node.Inputs(1).decode()
            constants[name] = published[matrix]
            for field in ("scale", "zero_point"):
                source = matrix.replace("quantized", field)
                constants[f"{name}.{field}"] = published[source]
    return constants


class Graph:
    """Nodes and constants of a graph."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def add(self, operator: str, inputs: list[str], outputs: Any = 1, **attributes: Any) -> Any:
        """Add a node; return the name of its output, or the names of several."""
        if isinstance(outputs, int):
            outputs = [f"{operator}_{len(self._nodes)}_{i}" for i in range(outputs)]
        self._nodes.append(helper.make_node(operator, inputs, outputs, **attributes))
        return outputs[0] if len(outputs) == 1 else outputs

    def build(self, inputs: list[Any], outputs: list[Any]) -> onnx.ModelProto:
        """Return the model."""
        graph = helper.make_graph(
            self._nodes, "moonshine", inputs, outputs, list(self._constants.values())
        )
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


class EncoderGraph(Graph):
    """Graph of the encoder. Its constants have the names of the parameters in `train.mini`.

    Attributes:
        published: constants of the published encoder, by `read_encoder`.
        packaged: constants of WavRetriever's encoder.
    """

    def __init__(self, published: Tensors, packaged: Path) -> None:
        super().__init__()
        self.published = published
        self._content, self._location = packaged.read_bytes(), packaged.name
        self.packaged: Tensors = {
            tensor.name: numpy_helper.to_array(tensor)
            for tensor in onnx.load(str(packaged)).graph.initializer
        }

    def parameter(self, name: str) -> str:
        """Return the name of a constant of the published encoder."""
        return self.constant(self.published[name], name)

    def constant(self, values: Any, name: str = "") -> str:
        """Return the name of a constant; a large one refers to the packaged file if it is there."""
        array = np.ascontiguousarray(values).reshape(np.shape(values))
        raw = array.tobytes()
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        name = name or f"constant_{len(self._constants)}"
        tensor = TensorProto(name=name, data_type=kind, dims=array.shape, raw_data=raw)
        offset = self._content.find(raw) if len(raw) >= SHARED_BYTES else -1
        if offset >= 0:
            set_external_data(tensor, self._location, offset, len(raw))
            tensor.ClearField("raw_data")
        self._constants[name] = tensor
        return name

    def matrix(self, name: str) -> list[str]:
        """Return the names of a published matrix, its scale and its zero point.

        Raises:
            ValueError: no packaged matrix is this one.
        """
        values, scale, zero = (
            self.published[name + field] for field in ("", ".scale", ".zero_point")
        )
        for packaged, columns in self.packaged.items():
            if not packaged.endswith("_quantized") or columns.shape != values.shape:
                continue
            factors = self.packaged[packaged.replace("_quantized", "_scale")] / scale
            restored = np.round(columns.astype(np.float32) * factors) + zero.astype(np.float32)
            differences = np.argwhere(restored != values)
            if len(differences) > len(values):
                continue
            x = self.add("Cast", [self.constant(columns)], to=TensorProto.FLOAT)
            x = self.add("Round", [self.add("Mul", [x, self.constant(factors)])])
            x = self.add("Add", [x, self.constant(zero.astype(np.float32))])
            x = self.add("Cast", [x], to=TensorProto.UINT8)
            updates = values[tuple(differences.T)]
            inputs = [x, self.constant(differences), self.constant(updates)]
            self.add("ScatterND", inputs, [name])
            return [name, self.parameter(f"{name}.scale"), self.parameter(f"{name}.zero_point")]
        raise ValueError(f"{name} is not in {self._location}")

    def multiply(self, quantised: list[str], layer: str, bias: bool = False) -> str:
        """Add the product of quantised values with the matrix of a layer."""
        values, scale, zero_point = quantised
        matrix, matrix_scale, matrix_zero = self.matrix(f"{layer}.weight")
        inputs = [values, matrix, scale, matrix_scale, zero_point, matrix_zero]
        inputs += [self.parameter(f"{layer}.bias")] if bias else []
        product: str = self.add("MatMulIntegerToFloat", inputs, domain=MICROSOFT)
        return product

    def quantise(self, x: str) -> list[str]:
        """Add 8-bit quantisation; return values, scale and zero point."""
        quantised: list[str] = self.add("DynamicQuantizeLinear", [x], 3)
        return quantised

    def normalise(self, x: str, name: str) -> str:
        """Add a layer norm without bias."""
        weight = self.parameter(f"{name}.weight")
        normalised: str = self.add("LayerNormalization", [x, weight], axis=-1, epsilon=1e-5)
        return normalised

    def gelu(self, x: str) -> str:
        """Add the exact GELU."""
        activated: str = self.add("Gelu", [x], domain=MICROSOFT)
        return activated


def add_wide_convolution(graph: EncoderGraph, x: str) -> str:
    """Add the second convolution, which WavRetriever has as an 8-bit matrix."""
    weight = graph.published["stem.conv2.weight"]  # (out, in, size)
    outputs, inputs, size = weight.shape
    flat = weight.transpose(2, 1, 0).reshape(size * inputs, outputs)
    [name] = [n for n, v in graph.packaged.items() if v.shape == flat.shape]
    columns = graph.packaged[name]
    scales = graph.packaged[name.replace("_quantized", "_scale")]
    steps = np.round((flat - columns * scales) / scales * REMAINDER_STEPS)
    remainders = np.clip(steps, -128, 127).astype(np.int8)
    terms = [
        graph.add(
            "Mul", [graph.add("Cast", [graph.constant(v)], to=TensorProto.FLOAT), graph.constant(s)]
        )
        for v, s in ((columns, scales), (remainders, scales / np.float32(REMAINDER_STEPS)))
    ]
    shape = graph.constant(np.array([size, inputs, outputs]))
    y = graph.add("Reshape", [graph.add("Add", terms), shape])
    kernel = graph.add("Transpose", [y], ["stem.conv2.weight"], perm=[2, 1, 0])
    bias = graph.parameter("stem.conv2.bias")
    convolved: str = graph.add("Conv", [x, kernel, bias], strides=[3], kernel_shape=[size])
    return convolved


def add_stem(graph: EncoderGraph) -> str:
    """Add the convolutions, from the samples to (1, t, 288)."""
    x = graph.add("Unsqueeze", ["samples", graph.constant(np.array([1]))])
    weight = graph.parameter("stem.conv1.weight")
    x = graph.add("Tanh", [graph.add("Conv", [x, weight], strides=[64], kernel_shape=[127])])
    # Normalisation over the whole clip, as over a single channel.
    flat = graph.add("Reshape", [x, graph.constant(np.array([0, 1, -1]))])
    unit = [graph.constant(np.array([value], np.float32)) for value in (1, 0)]
    flat = graph.add("InstanceNormalization", [flat, *unit], epsilon=1e-5)
    x = graph.add("Reshape", [flat, graph.constant(np.array([0, WIDTH, -1]))])
    x = graph.add("Mul", [x, graph.parameter("stem.scale")])
    x = graph.add("Add", [x, graph.parameter("stem.shift")])
    x = graph.gelu(add_wide_convolution(graph, x))
    weight, bias = (graph.parameter(f"stem.conv3.{field}") for field in ("weight", "bias"))
    x = graph.gelu(graph.add("Conv", [x, weight, bias], strides=[2], kernel_shape=[3]))
    frames: str = graph.add("Transpose", [x], perm=[0, 2, 1])
    return frames


def add_layer(graph: EncoderGraph, x: str, i: int, angles: list[str]) -> str:
    """Add a layer: self-attention and MLP."""
    layer = f"layers.{i}"
    y = graph.quantise(graph.normalise(x, f"{layer}.attention_norm"))
    query, key, values = (graph.multiply(y, f"{layer}.{r}") for r in ("query", "key", "value"))
    query, key = (
        graph.add(
            "RotaryEmbedding", [head, *angles], domain=MICROSOFT, interleaved=1, num_heads=HEADS,
            rotary_embedding_dim=ROTARY,
        )
        for head in (query, key)
    )  # fmt: skip
    y = graph.add(
        "MultiHeadAttention", [query, key, values], domain=MICROSOFT, num_heads=HEADS,
        scale=(WIDTH // HEADS) ** -0.5,
    )  # fmt: skip
    x = graph.add("Add", [x, graph.multiply(graph.quantise(y), f"{layer}.out")])
    y = graph.quantise(graph.normalise(x, f"{layer}.mlp_norm"))
    y = graph.gelu(graph.multiply(y, f"{layer}.up", bias=True))
    y = graph.multiply(graph.quantise(y), f"{layer}.down", bias=True)
    total: str = graph.add("Add", [x, y])
    return total


def add_angles(graph: EncoderGraph, frames: str) -> list[str]:
    """Add the start position, cosines and sines of the rotary positions of all frames."""
    shape = graph.add("Shape", [frames], start=1, end=2)
    count = graph.add("Squeeze", [shape])
    ends = [graph.constant(np.array(value, np.int64)) for value in (0, 1)]
    times = graph.add("Cast", [graph.add("Range", [ends[0], count, ends[1]])], to=TensorProto.FLOAT)
    times = graph.add("Unsqueeze", [times, graph.constant(np.array([1]))])
    frequencies = 10_000.0 ** (-np.arange(0, ROTARY, 2) / ROTARY)
    angles = graph.add("Mul", [times, graph.constant(frequencies.astype(np.float32))])
    start = graph.constant(np.zeros(1, np.int64))
    return [start, graph.add("Cos", [angles]), graph.add("Sin", [angles])]


def build_encoder(published: bytes, packaged: Path) -> onnx.ModelProto:
    """Build the graph from samples (1, n) at 16 kHz to frames (1, t, 288).

    Args:
        published: content of `encoder_model.ort`.
        packaged: `encoder.onnx` of WavRetriever.
    """
    graph = EncoderGraph(read_encoder(published), packaged)
    x = add_stem(graph)
    angles = add_angles(graph, x)
    for i in range(LAYERS):
        x = add_layer(graph, x, i, angles)
    weight = graph.parameter("norm.weight")
    graph.add("LayerNormalization", [x, weight], ["frames"], axis=-1, epsilon=1e-5)
    samples = helper.make_tensor_value_info("samples", TensorProto.FLOAT, (1, "n"))
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, (1, "t", WIDTH))
    return graph.build([samples], [frames])
