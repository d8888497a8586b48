"""Captions to train on: phrasings of a class that are not held out, each in several frames."""

from __future__ import annotations

from collections.abc import Sequence

from wavrag.evaluate.captions import CLASSES

TEMPLATES = ("{}", "the sound of {}", "a recording of {}", "{} in the background", "I can hear {}")
"""Frames that every training phrasing is put in."""


def training_captions(label: str, names: Sequence[str] = ()) -> list[str]:
    """Captions to train on for a sound.

    Args:
        label: a class of `CLASSES`, or any words that describe the sound.
        names: further descriptions, such as the file's name.
    """
    phrasings = CLASSES[label][0] if label in CLASSES else (label, *names)
    clean = [" ".join(phrase.replace("-", " ").replace("_", " ").split()) for phrase in phrasings]
    return [template.format(phrase) for phrase in clean for template in TEMPLATES]
