"""What several test modules share."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavrag.embed import Embedder, load_embedder
from wavrag.embed.moonshine import weights_folder

for kit in ("embedder", "store", "generator"):
    pytest.register_assert_rewrite(f"wavrag.testing.{kit}")


@pytest.fixture(scope="session")
def cascade() -> Embedder:
    """The real embedder, loaded once."""
    return load_embedder("cascade")


@pytest.fixture(scope="session")
def human_reading() -> Path:
    """44 s of A Tale of Two Cities, read by a person, 48 kHz."""
    return weights_folder().parent / "two_cities.wav"
