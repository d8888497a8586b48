"""Export of the trained networks to 8-bit ONNX files, and their parity with the float networks.

`letters.onnx`: samples to `letters`, log posteriors, shape (n_frames, CLASSES). `encoder.onnx`:
samples to `frames`, the states of the pretrained encoder for the decoder, shape (n_frames, 288),
and to `sound`, the embedding of the clip in the space of captions, a unit vector of shape (384,).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.embed import ENCODER_FILE, LETTERS_FILE
from wavrag.train.mini.ctc import SpeechHead
from wavrag.train.mini.letters import collapse_classes
from wavrag.train.mini.moonshine import Encoder, Stem, run_layers
from wavrag.train.mini.sounds import DEPTH, SoundHead
from wavrag.types import Float32

SAMPLES = 48_000  # length of the clip for tracing


class MatrixConvolution(nn.Module):
    """A convolution over time as one matrix product, which ONNX Runtime can quantise to 8 bits.

    Input and output have shape (1, t, c).
    """

    def __init__(self, convolution: nn.Conv1d) -> None:
        super().__init__()
        self.size, self.stride = convolution.kernel_size[0], convolution.stride[0]
        weight = convolution.weight.detach()  # (out, in, size)
        self.linear = nn.Linear(weight.shape[1] * self.size, weight.shape[0])
        self.linear.weight.data = weight.transpose(1, 2).flatten(1).contiguous()
        assert convolution.bias is not None
        self.linear.bias.data = convolution.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """Multiply every `stride`-th window of `size` frames by the weights."""
        end = x.shape[1] - self.size + 1
        windows = [x[:, at : at + end : self.stride] for at in range(self.size)]
        product: Tensor = self.linear(torch.cat(windows, -1))
        return product


class ExportStem(nn.Module):
    """`Stem` for one clip, with its widest convolution as a matrix product.

    The last convolution is not converted: its input has outliers, and in 8 bits the CER of the
    evaluation questions rises from .106 to .227 (docs/training-mini.md, run 2b).
    """

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.stem = stem
        self.conv2 = MatrixConvolution(stem.conv2)

    def forward(self, samples: Tensor) -> Tensor:
        """Convert (1, n) samples to (1, t, 288) frames."""
        x = functional.gelu(self.conv2(self.stem.normalised(samples).transpose(1, 2)))
        return functional.gelu(self.stem.conv3(x.transpose(1, 2))).transpose(1, 2)


class LettersNetwork(nn.Module):
    """Waveform to letters."""

    outputs = ("letters",)

    def __init__(self, encoder: Encoder, speech: SpeechHead) -> None:
        super().__init__()
        self.stem, self.layers = ExportStem(encoder.stem), encoder.layers
        self.norm, self.speech = encoder.norm, speech

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Process samples at 16 kHz, shape = (1, n_samples)."""
        frames = self.norm(run_layers(self.layers, self.stem(samples), None))
        return (self.speech(frames).log_softmax(-1)[0],)


class SoundNetwork(nn.Module):
    """Waveform to the states of the pretrained encoder and to a sound embedding."""

    outputs = ("frames", "sound")

    def __init__(self, encoder: Encoder, sound: SoundHead) -> None:
        super().__init__()
        self.stem = ExportStem(encoder.stem)
        self.lower, self.upper = encoder.layers[:DEPTH], encoder.layers[DEPTH:]
        self.norm, self.sound = encoder.norm, sound

    def forward(self, samples: Tensor) -> tuple[Tensor, ...]:
        """Process samples at 16 kHz, shape = (1, n_samples)."""
        stem = self.stem(samples)
        middle = run_layers(self.lower, stem, None)
        frames = self.norm(run_layers(self.upper, middle, None))
        return frames[0], self.sound(self.sound.pool(stem, middle))[0]


def export_network(network: LettersNetwork | SoundNetwork, target: Path) -> dict[str, int]:
    """Write the 8-bit model to `target`, and return the sizes of both versions in bytes."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    full = target.with_suffix(".float.onnx")
    network.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        # torch's exporter warns about its own internals.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network, (torch.randn(1, SAMPLES) * 0.1,), str(full), input_names=["samples"],
            output_names=list(network.outputs),
            dynamic_shapes={"samples": {1: torch.export.Dim("n_samples", min=1600)}}, dynamo=True,
            external_data=False, verbose=False,
        )  # fmt: skip
    quant_pre_process(str(full), str(full), skip_symbolic_shape=True)
    quantize_dynamic(
        str(full), str(target), op_types_to_quantize=["MatMul"], per_channel=True,
        weight_type=QuantType.QInt8,
    )  # fmt: skip
    sizes = {"float_bytes": full.stat().st_size, "bytes": target.stat().st_size}
    full.unlink()
    return sizes


def measure_parity(
    letters: LettersNetwork, sound: SoundNetwork, folder: Path, clips: Sequence[Float32]
) -> dict[str, float]:
    """Compare the exported files in a folder with the float networks on clips at 16 kHz.

    Returns:
        `same_letters`: share of clips with equal letters; `letters_kl`: mean Kullback-Leibler
        divergence from the float posteriors per frame; `frame_error`: mean over the clips of the
        root mean square error of the states relative to theirs; `sound_cosine`: mean cosine of the
        sound embeddings.
    """
    import onnxruntime as ort

    sessions = [
        ort.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        for name in (LETTERS_FILE, ENCODER_FILE)
    ]
    figures = []
    for clip in clips:
        with torch.inference_mode():
            samples = torch.from_numpy(clip)[None]
            expected = [*letters(samples), *sound(samples)]
        posteriors, frames, vector = (tensor.numpy() for tensor in expected)
        exported = [
            row for session in sessions for row in session.run(None, {"samples": clip[None]})
        ]
        decoded = [collapse_classes(rows.argmax(-1).tolist()) for rows in (posteriors, exported[0])]
        figures.append(
            (
                decoded[0] == decoded[1],
                (np.exp(posteriors) * (posteriors - exported[0])).sum(-1).mean(),
                np.linalg.norm(frames - exported[1]) / np.linalg.norm(frames),
                vector @ exported[2],
            )
        )
    names = "same_letters", "letters_kl", "frame_error", "sound_cosine"
    means = np.mean(np.array(figures, float), 0)
    return {name: round(float(mean), 4) for name, mean in zip(names, means, strict=True)}
