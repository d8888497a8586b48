"""A model of what a GPU would take: a formula, the shapes of networks, and numbers to be set.

Nothing here was measured. The formula leaves out the text model after the encoder, the choice of
words from the retriever's list, which stays on a processor, decoding of files, and the store.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

WINDOWS_AN_HOUR = 3_600 / 12  # of the 12 s that they aim at

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
    """What a GPU would have to do, from the published shapes of the networks.

    Attributes:
        label: for the table.
        encoder: parameters that every frame passes.
        frames: a second.
        stem: multiplications a second of sound before that, in convolutions.
        padded: seconds that a clip is padded to; 0 if it is taken as long as it is.
        decoder: parameters that every written token passes; 0 where nothing is written.
    """

    label: str
    encoder: float
    frames: float
    stem: float = 0.0
    padded: float = 0.0
    decoder: float = 0.0


MODELS = (
    # Moonshine tiny: width 288, inner width 1152. A layer has 4 w^2 + 2 w * 1152 parameters; the
    # retriever has 6 + 3 such layers. Stem: w * 127 a step at 250 Hz, 7 * w * 2w at 83 Hz and
    # 3 * 2w * w at 42 Hz. Decoder: 6 layers of 8 w^2 + 3 w * 1152, and the table of 32,768 tokens.
    Model("WavRetriever-mini", 9 * 0.995e6, 41.6, 1.27e8),
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
"""What each of `OPTIONS` is, for people."""


def gpu_seconds(
    model: Model, seconds: float, clips: float, batch: float, price: Mapping[str, float]
) -> float:
    """Time of a GPU for sound, by the model.

    With P parameters of the encoder at f frames a second, S multiplications a second in the stem,
    t seconds of sound (padded, if the model pads) and u the share of its speed that is reached:

        encoder  2 (P f + S) t / (u FLOPS), but for each batch no less than reading its weights,
                 2 P / (u bandwidth), and than the least time of a pass
        decoder  n steps of the larger of 2 D b / (u FLOPS), 2 D / (u bandwidth) and the least
                 time of a step, for each batch of b clips, with n the tokens of one clip

    Args:
        model: what is run; the text model after it, 0.02e9 parameters, is left out.
        seconds: of sound, all together.
        clips: that it comes in.
        batch: clips at a time.
        price: speed and shares, by the names of `OPTIONS`.
    """
    flops = price["utilisation"] * price["gpu_tflops"] * 1e12
    bandwidth = price["utilisation"] * price["gpu_gbytes"] * 1e9
    batches = clips / min(batch, clips)
    heard = clips * model.padded if model.padded else seconds
    encoder = max(
        2 * (model.encoder * model.frames + model.stem) * heard / flops,
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
