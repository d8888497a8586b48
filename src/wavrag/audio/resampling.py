"""Resample clips in memory; defines the sample rate of speech models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from wavrag.audio.mixer import Mixer
from wavrag.errors import AudioError
from wavrag.types import Clip, as_float32

# Hz. Moonshine, Whisper, Qwen2-Audio, PocketSphinx and Silero VAD were all trained on 16 kHz. It
# carries speech up to 8 kHz, which is where consonants end; a higher rate costs time and memory
# without changing a word, a lower one loses fricatives.
SAMPLE_RATE = 16_000


def resample(clip: Clip, sample_rate: int) -> Clip:
    """Resample a clip, band-limited, with the same filter as decoded files.

    Args:
        clip: mono.
        sample_rate: Hz.

    Raises:
        AudioError: the clip has no samples, too few, or samples that are not finite.
    """
    name = clip.source or "the clip"
    if not len(clip.samples):
        raise AudioError(f"{name}: has 0 samples: pass a clip with audio")
    if not np.isfinite(clip.samples).all():
        raise AudioError(
            f"{name}: has samples that are not numbers (NaN or infinity): export it again"
        )
    if clip.sample_rate == sample_rate:
        return clip
    from av.audio.frame import AudioFrame

    frame = AudioFrame.from_ndarray(as_float32(clip.samples)[None], format="flt", layout="mono")
    frame.sample_rate = clip.sample_rate
    mixer = Mixer(frame, sample_rate)
    mixer.push(frame)
    blocks = list(mixer.finish())
    if not blocks:
        raise AudioError(f"{name}: has {len(clip.samples)} samples, too few to resample")
    # The filter overshoots at abrupt ends near full scale (Gibbs phenomenon).
    samples = np.clip(np.concatenate(blocks), -1.0, 1.0)
    return replace(clip, samples=samples, sample_rate=sample_rate)
