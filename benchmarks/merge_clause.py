"""Cost of what keeps documents of concurrent writers whole: the key and the clause that deletes.

    python benchmarks/merge_clause.py [--rows 20000 100000] [--dim N] [--changes N]

For each size, writes the same documents of 1,000 passages with and without both, in turns, and
prints median times and their ratio. Without them, two writers can mix a document's passages
(`tests/test_store_writers.py`).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from store import normalise, time_call

from wavrag.store import LanceStore, StoredPassage
from wavrag.store.lance_rows import KEY
from wavrag.types import Passage

PASSAGES = 1_000  # of a document
FILL = 10_000  # passages of a commit while the store is filled


class UnprotectedStore(LanceStore):
    """A store whose merges have no clause that deletes rows; its table must have no key."""

    def _merge(self, rows: Any, stale: str, **_: Any) -> Any:
        merge = self._table.merge_insert("id").when_matched_update_all()
        return merge.when_not_matched_insert_all().execute(rows)

    def _upgrade_table(self) -> None:
        """Do not declare the key."""


def main() -> int:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--changes", type=int, default=10, help="new and replaced documents (10)")
    options = parser.parse_args()
    print(f"{'passages':>9} {'document':9} {'protected':>10} {'without':>10}  ratio")
    for rows in options.rows:
        with tempfile.TemporaryDirectory(prefix="wavrag-merge-") as folder:
            for name, (protected, bare) in measure(Path(folder), rows, options).items():
                print(
                    f"{rows:9} {name:9} {protected:7.0f} ms {bare:7.0f} ms  {protected / bare:.2f}"
                )
    return 0


def measure(folder: Path, rows: int, options: argparse.Namespace) -> dict[str, tuple[float, float]]:
    """Median times of a new and of a replaced document, protected and not, in ms."""
    random = np.random.default_rng(1)
    protected = LanceStore(folder / "protected", options.dim)
    bare = create_unprotected(folder / "bare", options.dim)
    for first in range(0, rows, FILL):
        documents = [
            document(random, options.dim, number)
            for number in range(first // PASSAGES, min(first + FILL, rows) // PASSAGES)
        ]
        for store in (protected, bare):
            store.upsert([record for records in documents for record in records])
    for store in (protected, bare):
        store.optimize()
    names = {"new": rows // PASSAGES, "replaced": 0}
    times: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in names}
    for change in range(options.changes):
        for name, first in names.items():
            records = document(random, options.dim, first + change)
            for store, list_ in zip((protected, bare), times[name], strict=True):
                list_.append(time_call(lambda s=store, r=records: s.upsert(r)))
    return {
        name: (float(np.median(left)), float(np.median(right)))
        for name, (left, right) in times.items()
    }


def create_unprotected(folder: Path, dim: int) -> UnprotectedStore:
    """A store whose table has no key."""
    from wavrag.store import lance_home

    schema = lance_home.schema

    def without_key(dim: int) -> Any:
        fields = schema(dim)
        index = fields.get_field_index("id")
        assert KEY in fields.field(index).metadata
        return fields.set(index, fields.field(index).remove_metadata())

    lance_home.schema = without_key
    try:
        return UnprotectedStore(folder, dim)
    finally:
        lance_home.schema = schema


def document(random: np.random.Generator, dim: int, number: int) -> list[StoredPassage]:
    """A document with random unit vectors."""
    vectors = normalise(random.standard_normal((PASSAGES, dim)))
    id = f"/corpus/document-{number:07d}.md"
    return [
        StoredPassage(
            Passage(id, ordinal, text := f"passage {ordinal} of document {number}", source=id,
                    char_start=ordinal, char_end=ordinal + 1),
            vector, text, str(number),
        )
        for ordinal, vector in enumerate(vectors)
    ]  # fmt: skip


if __name__ == "__main__":
    raise SystemExit(main())
