"""What was measured of a recording, in words that may go into a prompt: nothing is guessed."""

from __future__ import annotations

from wavrag.audio.prosody import rms_dbfs
from wavrag.types import Clip

_LEVELS = ((-60.0, "hardly audible"), (-32.0, "quiet"), (-12.0, "of usual level"))  # dBFS, below


def facts(clip: Clip) -> str:
    """Whether there is speech, how long it lasts, how loud it is.

    A clip in which nobody has listened for a voice is called sound.

    Returns:
        For example `sound without speech, 12.4 s, quiet (-38 dBFS)`.
    """
    what = {True: "speech", False: "sound without speech", None: "sound"}[clip.speech]
    level = rms_dbfs(clip.samples)
    if level is None:
        return f"silence, {clip.duration:.1f} s"
    loud = next((name for below, name in _LEVELS if level < below), "loud")
    return f"{what}, {clip.duration:.1f} s, {loud} ({level:.0f} dBFS)"
