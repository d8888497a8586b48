"""The Moonshine speech encoder in PyTorch, loaded from the graph of the recogniser.

Shapes: batch `b`, samples `n` at 16 kHz, frames `t` at 41.7 per second, width 288.

Source: Jeffries et al., "Moonshine: Speech Recognition for Live Transcription and Voice Commands",
arXiv 2410.15608; weights by Useful Sensors, MIT.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from wavrag.audio import SAMPLE_RATE
from wavrag.embed import MOONSHINE_WEIGHTS, WAVRETRIEVER_WEIGHTS

WIDTH = 288
HEADS = 8
LAYERS = 6
ROTARY = 32  # rotary dimensions, of the 36 of a head
STRIDES = ((127, 64), (7, 3), (3, 2))  # kernel and stride of the three convolutions


def frames_of(samples: Tensor | int) -> Any:
    """Return the number of frames for a number of samples."""
    for kernel, stride in STRIDES:
        samples = (samples - kernel) // stride + 1
    return samples


class Layer(nn.Module):
    """A pre-norm transformer layer with interleaved rotary positions."""

    def __init__(self, width: int = WIDTH, heads: int = HEADS) -> None:
        super().__init__()
        self.heads = heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.query, self.key, self.value, self.out = (
            nn.Linear(width, width, bias=False) for _ in range(4)
        )
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, 4 * width)
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        """Apply the layer to (b, t, 288)."""
        b, t, width = x.shape
        y = self.attention_norm(x)
        split = (b, t, self.heads, width // self.heads)
        q = rotate(self.query(y).view(split).transpose(1, 2), cos, sin)
        k = rotate(self.key(y).view(split).transpose(1, 2), cos, sin)
        v = self.value(y).view(split).transpose(1, 2)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + self.out(y.transpose(1, 2).reshape(b, t, width))
        update: Tensor = self.down(functional.gelu(self.up(self.mlp_norm(x))))
        return x + update


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Apply rotary positions to the first `ROTARY` dimensions of each head, in adjacent pairs."""
    head, unrotated = x[..., :ROTARY], x[..., ROTARY:]
    even, odd = head[..., 0::2], head[..., 1::2]
    rotated = torch.stack((even * cos - odd * sin, odd * cos + even * sin), -1).flatten(-2)
    return torch.cat((rotated, unrotated), -1)


def positions(t: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the rotary angles, each of shape (t, ROTARY / 2)."""
    frequencies = 10_000.0 ** (-torch.arange(0, ROTARY, 2, device=device) / ROTARY)
    angles = torch.arange(t, device=device)[:, None] * frequencies
    return angles.cos(), angles.sin()


class Stem(nn.Module):
    """Waveform to frames: three convolutions, with group normalisation over the clip."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv1d(1, WIDTH, 127, stride=64, bias=False)
        self.scale = nn.Parameter(torch.ones(WIDTH, 1))
        self.shift = nn.Parameter(torch.zeros(WIDTH, 1))
        self.conv2 = nn.Conv1d(WIDTH, 2 * WIDTH, 7, stride=3)
        self.conv3 = nn.Conv1d(2 * WIDTH, WIDTH, 3, stride=2)

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Compute the frames of zero-padded clips: (b, n) to (b, t, 288).

        Mean and variance of the normalisation exclude the padding.
        """
        x = functional.gelu(self.conv2(self.normalised(samples, lengths)))
        return functional.gelu(self.conv3(x)).transpose(1, 2)

    def normalised(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Compute the input of the second convolution: (b, 288, t)."""
        x = self.conv1(samples[:, None]).tanh()
        if lengths is None:
            mean = x.mean((1, 2), keepdim=True)
            variance = (x - mean).square().mean((1, 2), keepdim=True)
        else:
            counts = (lengths - 127) // 64 + 1
            inside = torch.arange(x.shape[2], device=x.device) < counts[:, None]
            weight = inside[:, None].to(x.dtype)
            count = weight.sum((1, 2), keepdim=True) * WIDTH
            mean = (x * weight).sum((1, 2), keepdim=True) / count
            variance = ((x - mean).square() * weight).sum((1, 2), keepdim=True) / count
        normalised: Tensor = (x - mean) * (variance + 1e-5).rsqrt() * self.scale + self.shift
        return normalised


class Encoder(nn.Module):
    """Moonshine's encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.layers = nn.ModuleList(Layer() for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH, bias=False)

    def forward(self, samples: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Convert (b, n) samples to (b, t, 288) frames after the final layer norm."""
        x = self.stem(samples, lengths)
        x = run_layers(self.layers, x, None if lengths is None else frames_of(lengths))
        frames_after_norm: Tensor = self.norm(x)
        return frames_after_norm


def run_layers(layers: Any, x: Tensor, frames: Tensor | None) -> Tensor:
    """Apply layers to (b, t, 288), with attention to the first `frames` (b,) of each clip only."""
    cos, sin = positions(x.shape[1], x.device)
    mask = None
    if frames is not None:
        mask = (torch.arange(x.shape[1], device=x.device) < frames[:, None])[:, None, None]
    for layer in layers:
        x = layer(x, cos.to(x.dtype), sin.to(x.dtype), mask)
    return x


def load_encoder() -> Encoder:
    """Load the encoder of the packaged recogniser, with its 8-bit matrices as float32.

    The graph computes the published matrices from others when it is loaded, so they are read as
    outputs of the graph (`tools/moonshine_encoder_graph.py`).
    """
    import onnx
    import onnxruntime as ort
    from onnx import external_data_helper, numpy_helper

    model = onnx.load(str(MOONSHINE_WEIGHTS / "encoder.onnx"), load_external_data=False)
    external_data_helper.load_external_data_for_model(model, str(WAVRETRIEVER_WEIGHTS))
    tensors = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    encoder = Encoder()
    computed = [name for name in encoder.state_dict() if name not in tensors]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in computed)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    samples = np.zeros((1, SAMPLE_RATE), np.float32)
    tensors |= dict(zip(computed, session.run(computed, {"samples": samples}), strict=True))
    state = {}
    for name in encoder.state_dict():
        values = tensors[name]
        if values.dtype == np.uint8:
            scale, zero = tensors[f"{name}.scale"], tensors[f"{name}.zero_point"]
            values = ((values.astype(np.float32) - zero.astype(np.float32)) * scale).T
        state[name] = torch.tensor(values)
    encoder.load_state_dict(state)
    return encoder.eval()
