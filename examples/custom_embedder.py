"""Use your own embedder: here, hashed letter trigrams, which forgive spelling mistakes.

    python examples/custom_embedder.py notes/ "descalling the expresso machine"

An embedder is a subclass of `Embedder` with a `spec` and one method, `embed`. To test yours,
subclass `wavrag.testing.embedder.EmbedderConformance`, as tests/test_examples.py does.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from zlib import crc32

import numpy as np

from wavrag import Embedder, WavRAG
from wavrag.embed import EmbedderSpec, check_inputs, unit_rows
from wavrag.types import EmbedInput, Float32, Role

SPEC = EmbedderSpec(
    name="trigrams",
    revision="1",  # change it whenever the vectors change: an old index is then refused
    dim=512,
    modalities=frozenset({"text"}),
    sampling_rate=None,  # it takes no clips
    max_audio_seconds=None,
    languages=(),
    licence="Apache-2.0",
)


class TrigramEmbedder(Embedder):
    """Texts that share letter trigrams have similar vectors."""

    @property
    def spec(self) -> EmbedderSpec:
        """Name, revision and capabilities."""
        return SPEC

    def embed(self, inputs: Sequence[EmbedInput], role: Role) -> Float32:
        """Unit rows, float32, shape = (len(inputs), 512)."""
        check_inputs(SPEC, inputs)  # raises the errors that the seam promises
        rows = np.full((len(inputs), SPEC.dim), 1e-6, np.float32)  # no row may be zero
        for row, each in zip(rows, inputs, strict=True):
            text = f"  {(each.text or '').lower()}  "
            for start in range(len(text) - 2):
                row[crc32(text[start : start + 3].encode()) % SPEC.dim] += 1
        return unit_rows(rows)


def main(folder: str, question: str) -> None:
    """Index a folder with the embedder and print the best passages."""
    with tempfile.TemporaryDirectory() as kb, WavRAG.open(kb, embedder=TrigramEmbedder()) as rag:
        rag.add(folder)
        for hit in rag.search(question, k=3):
            print(hit.rank, hit.passage.title, hit.passage.location)


if __name__ == "__main__":
    main(*sys.argv[1:])
