"""What several test modules share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wavrag import WavRAG
from wavrag.embed import Embedder, load_embedder
from wavrag.embed.moonshine import moonshine_folder

for kit in ("embedder", "store", "generator"):
    pytest.register_assert_rewrite(f"wavrag.testing.{kit}")


@pytest.fixture(scope="session", autouse=True)
def _configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty configuration, also for subprocesses, in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVRAG_CONFIG", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(scope="session")
def cascade() -> Embedder:
    """The real embedder, loaded once."""
    return load_embedder("cascade")


@pytest.fixture(scope="session")
def human_reading() -> Path:
    """44 s of A Tale of Two Cities, read by a person, 48 kHz."""
    return moonshine_folder().parent / "two_cities.wav"


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    """A `WavRAG` of two small texts, for a server."""
    from serving import create_rag

    with create_rag(tmp_path_factory.mktemp("rag")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(rag: WavRAG) -> Iterator[str]:
    """The address of a server of `rag`."""
    from serving import serving

    with serving(rag) as address:
        yield address
