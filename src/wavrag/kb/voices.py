"""Voice prints of speakers: only on request, in `voices.json` in the knowledge base's folder."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from wavrag.disk import write_file
from wavrag.embed import SPEAKER_REVISION, unit_rows
from wavrag.errors import StoreError
from wavrag.kb.manifest import lock_files
from wavrag.types import Float32

FILE = "voices.json"


class VoiceBook:
    """Remembered voices: a vector for each name. The file exists only while there is one.

    Args:
        directory: folder of the knowledge base.
    """

    def __init__(self, directory: Path) -> None:
        self._path = directory / FILE

    def load(self) -> dict[str, Float32]:
        """Unit vectors by name; without those of another revision of the encoder.

        Raises:
            StoreError: the file cannot be read.
        """
        try:
            content = json.loads(self._path.read_text(encoding="utf-8"))
            if content["revision"] != SPEAKER_REVISION:
                return {}
            voices = content["voices"].items()
            return {name: np.array(vector, np.float32) for name, vector in voices}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StoreError(
                f"{self._path} cannot be read ({error}): repair or delete it, and remember the"
                " voices again"
            ) from error

    def remember(self, name: str, vector: Float32) -> None:
        """Keep a voice, averaged with the one that is known by the name, if any."""
        with lock_files(self._path.parent):
            voices = self.load()
            if name in voices:
                vector = unit_rows((voices[name] + vector)[None])[0]
            self._save({**voices, name: vector})

    def forget(self, name: str) -> bool:
        """Delete a voice; False if it is unknown."""
        with lock_files(self._path.parent):
            voices = self.load()
            known = voices.pop(name, None) is not None
            if known:
                self._save(voices)
        return known

    def _save(self, voices: dict[str, Float32]) -> None:
        rows = {name: [round(float(x), 5) for x in vector] for name, vector in voices.items()}
        try:
            if not rows:
                self._path.unlink(missing_ok=True)
                return
            content = json.dumps({"revision": SPEAKER_REVISION, "voices": rows})
            write_file(self._path, content.encode(), 0o600)  # readable by the owner only
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror or error}") from error
