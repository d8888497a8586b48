"""Voice prints of speakers: kept on request only, as a record of the knowledge base."""

from __future__ import annotations

import json

import numpy as np

from wavrag.embed import SPEAKER_REVISION, unit_rows
from wavrag.errors import StoreError
from wavrag.store import Records
from wavrag.types import Float32

RECORD = ("voices", "voices")  # kind and key


class VoiceBook:
    """Remembered voices: a vector for each name. The record exists only while there is one.

    Args:
        records: the records of the knowledge base.
    """

    def __init__(self, records: Records) -> None:
        self._records = records

    def load(self) -> dict[str, Float32]:
        """Unit vectors by name; without those of another revision of the encoder.

        Raises:
            StoreError: they cannot be read.
        """
        return self._parse(self._records.get(*RECORD))

    def remember(self, name: str, vector: Float32) -> None:
        """Keep a voice, averaged with the one that is known by the name, if any."""

        def change(data: bytes | None) -> bytes | None:
            voices = self._parse(data)
            mean = unit_rows((voices[name] + vector)[None])[0] if name in voices else vector
            return _dump({**voices, name: mean})

        self._records.update(*RECORD, change)

    def forget(self, name: str) -> bool:
        """Delete a voice; False if it is unknown."""
        known = False

        def change(data: bytes | None) -> bytes | None:
            nonlocal known
            voices = self._parse(data)
            known = voices.pop(name, None) is not None
            return _dump(voices) if known else data

        self._records.update(*RECORD, change)
        return known

    def _parse(self, data: bytes | None) -> dict[str, Float32]:
        if data is None:
            return {}
        try:
            content = json.loads(data)
            if content["revision"] != SPEAKER_REVISION:
                return {}
            voices = content["voices"].items()
            return {name: np.array(vector, np.float32) for name, vector in voices}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self._records.name(*RECORD)} cannot be read ({error}): repair or delete it, and"
                " remember the voices again"
            ) from error


def _dump(voices: dict[str, Float32]) -> bytes | None:
    if not voices:
        return None
    rows = {name: [round(float(x), 5) for x in vector] for name, vector in voices.items()}
    return json.dumps({"revision": SPEAKER_REVISION, "voices": rows}).encode()
