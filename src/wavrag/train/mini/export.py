"""The trained network as one 8-bit ONNX file, compared with the float one.

Output `letters`, shape (n_frames, CLASSES), holds log posteriors; `sound`, shape (384,), is where
the clip lies among captions if it is not speech (a unit vector).
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.train.mini.ctc import SpeechHead
from wavrag.train.mini.letters import collapse_classes
from wavrag.train.mini.moonshine import Encoder, Stem, run_layers
from wavrag.train.mini.sounds import DEPTH, SoundHead
from wavrag.types import Float32

SAMPLES = 48_000  # of the clip that the export traces


class Unfolded(nn.Module):
    """A convolution over time as one matrix product, which 8 bits make faster and a quarter as big.

    Takes and gives time before channels: (1, t, c).
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
        """Every `stride`-th window of `size` frames, side by side, times the weights."""
        end = x.shape[1] - self.size + 1
        windows = [x[:, at : at + end : self.stride] for at in range(self.size)]
        wide: Tensor = self.linear(torch.cat(windows, -1))
        return wide


class UnfoldedStem(nn.Module):
    """`Stem` for one clip, its widest convolution unfolded.

    The last one stays: what goes into it has outliers that one 8-bit scale cannot hold, and the
    letters suffer.
    """

    def __init__(self, stem: Stem) -> None:
        super().__init__()
        self.stem = stem
        self.conv2 = Unfolded(stem.conv2)

    def forward(self, samples: Tensor) -> Tensor:
        """(1, n) samples to (1, t, 288) frames."""
        x = functional.gelu(self.conv2(self.stem.normalised(samples).transpose(1, 2)))
        return functional.gelu(self.stem.conv3(x.transpose(1, 2))).transpose(1, 2)


class SpeechNetwork(nn.Module):
    """Waveform to letters and to a place among captions, in one pass over the encoder."""

    def __init__(self, encoder: Encoder, speech: SpeechHead, sound: SoundHead) -> None:
        super().__init__()
        self.stem = UnfoldedStem(encoder.stem)
        self.lower, self.upper = encoder.layers[:DEPTH], encoder.layers[DEPTH:]
        self.norm = encoder.norm
        self.speech = speech
        self.sound = sound

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        """Samples at 16 kHz, shape = (1, n_samples)."""
        stem = self.stem(samples)
        middle = run_layers(self.lower, stem, None)
        frames = self.norm(run_layers(self.upper, middle, None))
        letters = self.speech(frames).log_softmax(-1)
        return letters[0], self.sound(self.sound.pool(stem, middle))[0]


def export(network: SpeechNetwork, target: Path) -> dict[str, Any]:
    """Write the 8-bit model to `target`; sizes in bytes of both versions come back."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    full = target.with_suffix(".float.onnx")
    network.eval()
    with torch.inference_mode(), warnings.catch_warnings():
        # Of torch's exporter to itself.
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.randn(1, SAMPLES) * 0.1,),
            str(full),
            input_names=["samples"],
            output_names=["letters", "sound"],
            dynamic_shapes={"samples": {1: torch.export.Dim("n_samples", min=1600)}},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    quant_pre_process(str(full), str(full), skip_symbolic_shape=True)
    quantize_dynamic(
        str(full),
        str(target),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
    )
    return {"float_bytes": full.stat().st_size, "bytes": target.stat().st_size}


def parity(network: SpeechNetwork, target: Path, clips: Sequence[Float32]) -> dict[str, float]:
    """How far the file at `target` is from the float network on clips at 16 kHz.

    Returns:
        `same_letters`: share of clips that read exactly alike; `letters_kl`: mean over frames of
        the divergence from the float posteriors; `sound_cosine`: mean cosine of sound vectors.
    """
    import onnxruntime as ort

    session = ort.InferenceSession(str(target), providers=["CPUExecutionProvider"])
    same, divergences, cosines = [], [], []
    for clip in clips:
        with torch.inference_mode():
            letters, sound = network(torch.from_numpy(clip)[None])
        read, heard = session.run(None, {"samples": clip[None]})
        same.append(
            collapse_classes(letters.argmax(-1).tolist())
            == collapse_classes(read.argmax(-1).tolist())
        )
        full = letters.numpy()
        divergences.append(float((np.exp(full) * (full - read)).sum(-1).mean()))
        cosines.append(float(np.dot(sound.numpy(), heard)))
    return {
        "same_letters": round(float(np.mean(same)), 3),
        "letters_kl": round(float(np.mean(divergences)), 5),
        "sound_cosine": round(float(np.mean(cosines)), 4),
    }
