"""A real server on a loopback port, in a thread of the test's process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import numpy as np

from wavrag import Clip, KnowledgeBase, WavRAG
from wavrag.embed.fake import FakeEmbedder
from wavrag.generate import FakeGenerator, Generator
from wavrag.kb import find_files
from wavrag.server import CollectionFolder, ServerOptions, create_app
from wavrag.server.run import bind_socket, create_uvicorn_server

OPTIONS = ServerOptions(voice="fake")
FERRY = "The ferry leaves at nine in the morning. It carries dogs for free.\n"
BEES = "# Bees\n\nA honeybee flies three kilometres. It dances when it is home.\n"
CAPTIONS = """WEBVTT

00:01.000 --> 00:04.000
<v Ada>The harbour opens at dawn.

00:05.000 --> 00:09.000
<v Bob>The harbour closes at dusk.
"""
TONE = Clip(0.3 * np.sin(np.arange(16_000) / 5).astype(np.float32), 16_000)


@contextmanager
def serving(rag: WavRAG | CollectionFolder, options: ServerOptions = OPTIONS) -> Iterator[str]:
    """Run a server during the block; yields its URL."""
    app = create_app(rag, options)
    app.state.collections.start()
    with bind_socket("127.0.0.1", 0) as listener:
        server = create_uvicorn_server(app)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def client(url: str, **options: object) -> Iterator[httpx.Client]:
    """A client that ignores proxies of the environment."""
    with httpx.Client(base_url=url, trust_env=False, timeout=60, **options) as opened:  # type: ignore[arg-type]
        yield opened


def create_rag(folder: Path, generator: Generator | None = None) -> WavRAG:
    """A `WavRAG` of two small texts, on the real store."""
    texts = folder / "texts"
    texts.mkdir()
    (texts / "ferry.txt").write_text(FERRY)
    (texts / "bees.md").write_text(BEES)
    kb = KnowledgeBase.open(folder / "kb", embedder=FakeEmbedder())
    kb.add(find_files([texts]).documents)
    return WavRAG(kb, generator or FakeGenerator())


def create_harbour_rag(folder: Path) -> WavRAG:
    """The same with the document `CAPTIONS` of 2024, for adapters of other frameworks."""
    (folder / "harbour.vtt").write_text(CAPTIONS)
    rag = create_rag(folder)
    rag.add(folder / "harbour.vtt", metadata={"year": 2024})
    return rag


def uploaded_files(folder: Path) -> list[str]:
    """Names of complete and incomplete uploads of a knowledge base."""
    paths = [path for name in ("incoming", "uploads") for path in (folder / name).glob("*")]
    return sorted(path.name for path in paths)
