"""Embedded documents in Parquet files, and their import."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from audio_files import tone, write
from wavrag import KnowledgeBase
from wavrag.embed import FakeEmbedder
from wavrag.errors import IndexMismatchError, InputError
from wavrag.kb.parquet import embed_to_table
from wavrag.types import Document


@pytest.fixture
def documents(tmp_path: Path) -> list[Document]:
    recording = tmp_path / "talk.wav"
    write(recording, tone(440.0, 3.0, 16_000)[None], 16_000)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    return [
        Document("ferry", text="The ferry leaves at nine.", title="Ferry", metadata={"year": 2026}),
        Document("bees", text="Bees dance."),
        Document(str(recording), path=str(recording)),
        Document(str(broken), path=str(broken)),
    ]


@pytest.fixture
def table(documents: list[Document], tmp_path: Path) -> pa.Table:
    return embed_to_table(documents, FakeEmbedder(), tmp_path)


def open_kb(folder: Path) -> KnowledgeBase:
    return KnowledgeBase.open(folder / "kb", embedder="fake")


def test_an_import_equals_an_index(
    documents: list[Document], table: pa.Table, tmp_path: Path
) -> None:
    pq.write_table(table.slice(0, 2), tmp_path / "a.parquet")
    (tmp_path / "more").mkdir()
    pq.write_table(table.slice(2), tmp_path / "more" / "b.parquet")
    with (
        open_kb(tmp_path) as kb,
        KnowledgeBase.open(tmp_path / "indexed", embedder="fake") as indexed,
    ):
        indexed.add(documents)
        counts: list[int] = []
        files = [tmp_path / "a.parquet", tmp_path / "more"]
        report = kb.import_parquet(files, counts.append)
        assert (len(report.added), counts) == (3, [1, 2, 3, 4])
        assert [Path(source).name for source, _ in report.skipped] == ["broken.wav"]
        for expected, record in zip(indexed.scan(), kb.scan(), strict=True):
            assert record.passage == expected.passage
            assert (record.lexical, record.content_hash) == (
                expected.lexical,
                expected.content_hash,
            )
            np.testing.assert_array_equal(record.vector, expected.vector)
        assert [document.metadata for document in kb.documents() if document.id == "ferry"] == [
            {"year": 2026}
        ]
        assert kb.verify() == []
        again = kb.import_parquet(files)
        assert (len(again.unchanged), again.added + again.updated) == (3, [])
        # A later indexing run recognises the documents, too.
        assert len(kb.add(documents[:3]).unchanged) == 3


def test_other_files_are_refused(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    with open_kb(tmp_path) as kb:
        path.write_bytes(b"PAR1 and no more")
        with pytest.raises(InputError, match="no Parquet file of"):
            kb.import_parquet([path])
        pq.write_table(pa.table({"x": [1]}), path)
        with pytest.raises(InputError, match="no Parquet file of"):
            kb.import_parquet([path])
        with pytest.raises(InputError, match="holds no"):
            kb.import_parquet([tmp_path / "kb"])
        rows = table.to_pylist()
        good = next(row for row in rows if row["document_id"] == "bees")
        for damage in (
            {"vectors": [[1.0]]}, {"passages": ['{"document_id": "other", "ordinal": 0}']},
            {"passages": ["{}"]}, {"lexical": []},
        ):  # fmt: skip
            pq.write_table(pa.Table.from_pylist([{**good, **damage}], table.schema), path)
            with pytest.raises(InputError, match="bees is damaged"):
                kb.import_parquet([path])
        foreign = {**good, "embedder": '{"name": "other", "revision": "1", "dim": 64}'}
        pq.write_table(pa.Table.from_pylist([foreign], table.schema), path)
        with pytest.raises(IndexMismatchError, match="other"):
            kb.import_parquet([path])
        assert kb.count() == 0
