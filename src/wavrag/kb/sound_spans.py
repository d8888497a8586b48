"""Find the part of a sound that a query is about, by embedding parts of its clip."""

from __future__ import annotations

from dataclasses import replace

from wavrag.embed import Embedder
from wavrag.types import Clip, EmbedInput, Float32

PARTS = 5  # overlapping parts of a clip; each costs an embedding
PART_SHARE = 0.4  # length of a part, as a share of the clip
MIN_SECONDS = 4.0  # shorter clips are not divided: embedders of sounds need about 2 s


def find_sound(embedder: Embedder, clip: Clip, vector: Float32) -> tuple[float, float] | None:
    """Return the times of the part of a clip with the highest cosine; see `KnowledgeBase`.

    Args:
        embedder: an embedder that takes audio.
        clip: the audio of a passage, at its sample rate.
        vector: unit vector of the query, shape = (dim,).
    """
    if clip.duration < MIN_SECONDS:
        return None
    size = round(PART_SHARE * len(clip.samples))
    starts = [round(part * (len(clip.samples) - size) / (PARTS - 1)) for part in range(PARTS)]
    spans = [
        replace(
            clip,
            samples=clip.samples[start : start + size],
            start=clip.start + start / clip.sample_rate,
        )
        for start in starts
    ]
    inputs = [EmbedInput(clip=part) for part in (clip, *spans)]
    complete, *cosines = embedder.embed(inputs, "passage") @ vector
    best = max(range(PARTS), key=lambda part: (cosines[part], -part))
    if cosines[best] <= complete:
        return None
    return round(spans[best].start, 3), round(spans[best].end, 3)
