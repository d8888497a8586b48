"""Model of GPU time: a formula, the published shapes of networks, and adjustable parameters.

Nothing here is measured. The formula leaves out the text model after the encoder, the choice of
words from the retriever's lexicon (on the CPU), the decoding of files, and the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

WINDOWS_AN_HOUR = 3_600 / 12  # windows aim at 12 s

OPTIONS: Mapping[str, float] = MappingProxyType(
    {
        "cpu_core_hour": 0.04,  # US dollars, of one processor; a list price of a cloud
        "gpu_hour": 0.80,  # US dollars; of a small inference GPU (NVIDIA L4)
        "gpu_tflops": 121.0,  # dense, 16 bits, 10^12 a second
        "gpu_gbytes": 300.0,  # memory bandwidth, 10^9 bytes a second
        "utilisation": 0.2,  # share of both that is reached
        "batch": 32.0,  # windows that are worked on together while indexing
        "pass_ms": 3.0,  # least time of one pass of an encoder: launching its kernels
        "step_ms": 0.5,  # the same of one step of a decoder
        "tokens_second": 3.2,  # that a decoder writes for a second of speech
        "question_seconds": 5.0,  # of a spoken question
    }
)


@dataclass(frozen=True, slots=True)
class Model:
    """Work of a network, from its published shape.

    Attributes:
        label: name in the table.
        encoder: parameters applied to every frame.
        frames: frames per second.
        stem: multiplications of the convolutions per second of audio.
        padded: duration of a padded clip in seconds; 0 without padding.
        decoder: parameters applied to every generated token; 0 without a decoder.
    """

    label: str
    encoder: float
    frames: float
    stem: float = 0.0
    padded: float = 0.0
    decoder: float = 0.0


MODELS = (
    # Moonshine tiny: width 288, inner width 1152. A layer has 4 w^2 + 2 w * 1152 parameters; the
    # retriever runs 6 + 3 of them for letters and 6 for the decoder. Stem: w * 127 a step at 250
    # Hz, 7 * w * 2w at 83 Hz and 3 * 2w * w at 42 Hz. Decoder: 6 layers of 8 w^2 + 3 w * 1152, and
    # the table of 32,768 tokens.
    Model("WavRetriever", 15 * 0.995e6, 41.6, 2.54e8, decoder=19.4e6),
    Model("cascade, Moonshine tiny", 6 * 0.995e6, 41.6, 1.27e8, decoder=19.4e6),
    # Whisper large-v3: 1.55e9 parameters, 0.64e9 of them in the encoder (Radford et al., 2022).
    Model("cascade, Whisper large-v3", 0.64e9, 50.0, padded=30.0, decoder=0.91e9),
    # Qwen2-Audio: an encoder of 0.64e9 at 50 Hz, pooled to 25 Hz for 7.7e9 of a language model
    # (Chu et al., 2024): as frames of one network at 25 Hz, 2 * 0.64e9 + 7.7e9.
    Model("one pass of an 8B model (the paper's encoder)", 8.98e9, 25.0),
)

UNITS: Mapping[str, str] = MappingProxyType(
    {
        "cpu_core_hour": "dollars an hour of one processor",
        "gpu_hour": "dollars an hour of a GPU",
        "gpu_tflops": "10^12 operations a second, dense, 16 bits",
        "gpu_gbytes": "10^9 bytes of memory a second",
        "utilisation": "share of both that is reached",
        "batch": "windows at a time, indexing",
        "pass_ms": "milliseconds, least of an encoder's pass",
        "step_ms": "milliseconds, least of a decoder's step",
        "tokens_second": "tokens a decoder writes for a second of speech",
        "question_seconds": "seconds of a spoken question",
    }
)
"""Descriptions of `OPTIONS`."""


def gpu_seconds(
    model: Model, seconds: float, clips: float, batch: float, price: Mapping[str, float]
) -> float:
    """Compute the GPU time for audio, in seconds.

    With P parameters of the encoder at f frames per second, S multiplications per second in the
    stem, t seconds of audio (padded if the model pads) and the utilisation u:

        encoder  2 (P f + S) t / (u FLOPS), but for each batch no less than reading its weights,
                 2 P / (u bandwidth), and than the least time of a pass
        decoder  n steps of the larger of 2 D b / (u FLOPS), 2 D / (u bandwidth) and the least
                 time of a step, for each batch of b clips, with n the tokens of one clip

    Args:
        model: network; the text model after it, with 0.02e9 parameters, is left out.
        seconds: total duration of the audio.
        clips: number of clips.
        batch: clips per batch.
        price: parameters, by the names of `OPTIONS`.
    """
    flops = price["utilisation"] * price["gpu_tflops"] * 1e12
    bandwidth = price["utilisation"] * price["gpu_gbytes"] * 1e9
    batches = clips / min(batch, clips)
    audio_seconds = clips * model.padded if model.padded else seconds
    encoder = max(
        2 * (model.encoder * model.frames + model.stem) * audio_seconds / flops,
        batches * max(2 * model.encoder / bandwidth, price["pass_ms"] / 1e3),
    )
    if not model.decoder:
        return encoder
    step = max(
        2 * model.decoder * min(batch, clips) / flops,
        2 * model.decoder / bandwidth,
        price["step_ms"] / 1e3,
    )
    return encoder + batches * price["tokens_second"] * seconds / clips * step
