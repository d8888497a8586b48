"""Conformance kits of the store interface: subclass one, provide its fixture, inherit the tests.

Example::

    class TestMyStore(PersistentStoreConformance):
        @pytest.fixture
        def open_store(self, tmp_path):
            return lambda dim: MyStore(tmp_path, dim)
"""

from __future__ import annotations

import itertools
import math
import random
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from wavrag.errors import EmbedderError, FilterError, IndexMismatchError, StoreError
from wavrag.store import Store, StoredDocument, StoredPassage
from wavrag.testing.store_data import (
    DIM,
    FILTER_VALUES,
    ODD_IDS,
    ODD_QUESTIONS,
    OpenStore,
    broken_records,
    check_writers,
    contents,
    ids,
    plain,
    random_filter,
    random_passages,
    run_together,
    text_records,
    unit_vector,
    vocabulary_counts,
    with_types,
    writer,
)
from wavrag.types import LexicalQuery, Metadata, Passage, WeightedWord
from wavrag.where import format_value, matches, parse


class StoreConformance:
    """Tests of one open store; the fixture `open_store` maps a dimension to an empty store.

    Attributes:
        filters: number of random filters to compare.
    """

    filters = 400

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """Create stores for vectors of a given dimension."""
        raise NotImplementedError("define the fixture open_store")

    @pytest.fixture
    def store(self, open_store: OpenStore) -> Store:
        """An empty store."""
        return open_store(DIM)

    def test_is_a_store(self, store: Store) -> None:
        assert isinstance(store, Store)

    def test_empty(self, store: Store) -> None:
        assert store.count() == 0
        assert store.search(unit_vector(1), "anything", 5) == {"dense": [], "lexical": []}
        assert store.get(["a#0"]) == []
        assert store.get([]) == []
        assert store.documents() == []
        assert list(store.scan()) == []
        assert store.delete(["a"]) == 0
        assert store.delete([]) == 0
        store.upsert([])
        store.optimize()
        assert store.verify() == []

    def test_records_come_back_as_given(self, store: Store) -> None:
        # Databases often reject NUL and characters beyond the basic multilingual plane.
        words = "Ünïcode \U0001f3a4\n\x00"
        text = Passage("b.pdf", 0, words, None, None, 3, 9, "A > B", 7, "b.pdf", "Title", {})
        audio = Passage("a.wav", 0, None, 1.25, 2.0000001, source="/a.wav", metadata={"k": "v"})
        audio = replace(audio, speech=True, level=-31.25, speaker="Ada", channel=2, track=1)
        silence = replace(audio, ordinal=1, start=2.0, end=3.5, speech=False, level=-math.inf)
        lines = Passage("c.srt", 0, "words", 1.0, 2.5, 0, 5, source="c.srt", recording="/c.wav")
        records = [
            StoredPassage(text, unit_vector(1), "words", "h1"),
            StoredPassage(audio, unit_vector(2), "", "h2"),
            StoredPassage(silence, unit_vector(3), "", "h2"),
            StoredPassage(lines, unit_vector(4), "words", "h3"),
        ]
        store.upsert(records)
        assert contents(store) == plain(records)
        assert store.get(["b.pdf#0", "a.wav#1"]) == [text, records[2].passage]
        modalities = {document.id: document.modality for document in store.documents()}
        assert modalities == {"a.wav": "audio", "b.pdf": "text", "c.srt": "text"}

    def test_copies_of_a_document(self, store: Store) -> None:
        source = "/a/cafe\u0301.md"
        records = [
            replace(r, passage=replace(r.passage, source=source, copies=("/b/é.md", "x")))
            for r in text_records("/a/café.md", ["one", "two"])
        ]
        extra = text_records("b", ["three"])
        store.upsert([*records, *extra])
        assert contents(store) == plain([*records, *extra])
        assert [document.copies for document in store.documents()] == [("/b/é.md", "x"), ()]
        assert [store.content_hash(id) for id in ("b", "c", "\udce9")] == ["hash", None, None]
        assert store.documents()[0].paths == ("/a/cafe\u0301.md", "/b/é.md", "x")
        for where, count in {
            "source = '/a/café.md'": 2, "source = '/a/cafe\u0301.md'": 2, "source = 'x'": 2,
            "source in ('/b/e\u0301.md', 'b')": 3, "source like '/b/%'": 2, "source like '_'": 3,
            "source like '/a/caf_.md'": 2, "source != 'x'": 1, "not source like '/b%'": 1,
            "id = '/a/cafe\u0301.md'": 2, "id != '/a/café.md'": 1, "source = '/b/'": 0,
        }.items():  # fmt: skip
            assert len(store.search(unit_vector(1), None, 9, where)["dense"]) == count, where
        changed = replace(records[1], passage=replace(records[1].passage, copies=()))
        with pytest.raises(StoreError, match="copies"):
            store.upsert([records[0], changed])

    def test_scan_of_some_documents(self, store: Store) -> None:
        store.upsert(text_records("a", ["one", "two"]) + text_records("b", ["three"]))
        assert [r.passage.id for r in store.scan(["a", "unknown", "\udce9"])] == ["a#0", "a#1"]
        assert list(store.scan([])) == []

    def test_a_speaker_of_the_passage_precedes_that_of_the_metadata(self, store: Store) -> None:
        first, second = text_records("a", ["one", "two"], metadata={"speaker": "Ada", "channel": 9})
        first = replace(first, passage=replace(first.passage, speaker="Bo", channel=1))
        store.upsert([first, second])
        for where, expected in {
            "speaker = 'Ada'": ["a#1"], "speaker = 'Bo'": ["a#0"], "channel = 1": ["a#0"],
            "channel > 1": ["a#1"], "track is null": ["a#0", "a#1"],
        }.items():  # fmt: skip
            hits = store.search(unit_vector(1), None, 5, where)["dense"]
            assert sorted(ids(hits)) == expected, where

    def test_metadata_keeps_its_types(self, store: Store) -> None:
        # Integers at the limits of 64 bits, the smallest float, and separators in keys and values.
        metadata: Metadata = {
            "int": 1, "float": 1.0, "yes": True, "no": False, "text": "1", "empty": "", "": 0,
            "min": -(2**63), "max": 2**63 - 1, "tiny": 5e-324, "third": 1 / 3, "minus": -0.5,
            "odd 'key' \"\x1e\x1f\x1d": "\x1d\x1e\x1f\x00'\\",
        }  # fmt: skip
        store.upsert(text_records("a", ["one"], metadata=metadata))
        (passage,) = store.get(["a#0"])
        assert with_types(passage.metadata) == with_types(metadata)
        assert with_types(store.documents()[0].metadata) == with_types(metadata)
        assert with_types(next(iter(store.scan())).passage.metadata) == with_types(metadata)

    # Fewer, more and equally many passages: each case deletes or inserts other rows.
    @pytest.mark.parametrize(("before", "after"), [(10, 3), (3, 10), (4, 4)])
    def test_a_document_is_replaced_whole(self, store: Store, before: int, after: int) -> None:
        neighbour = text_records("other", ["stays", "too"])
        new = text_records("a", [f"new {i}" for i in range(after)], seed=2, content_hash="2")
        store.upsert([*text_records("a", [f"old {i}" for i in range(before)]), *neighbour])
        store.upsert(new)
        assert contents(store) == plain([*new, *neighbour])
        assert ids(store.search(None, "old", 20)["lexical"]) == []
        assert len(store.search(None, "new", 20)["lexical"]) == after
        assert store.verify() == []

    def test_several_documents_are_replaced_at_once(self, store: Store) -> None:
        store.upsert(text_records("a", ["one"] * 5) + text_records("b", ["one"] * 5))
        new = [
            *text_records("b", ["two"] * 2, content_hash="2"),
            *text_records("c", ["two"], content_hash="2"),
            *text_records("a", ["two"] * 7, content_hash="2"),
        ]
        # The order of the passages in a call must not matter.
        store.upsert(list(reversed(new)))
        assert contents(store) == plain(new)

    @pytest.mark.parametrize("defect", sorted(broken_records()))
    def test_broken_records_change_nothing(self, store: Store, defect: str) -> None:
        before = text_records("broken", ["before"]) + text_records("z", ["before"])
        store.upsert(before)
        with pytest.raises(IndexMismatchError if defect == "other dim" else StoreError):
            # The valid document of the same call must not be stored, either.
            store.upsert(text_records("fine", ["one"]) + broken_records()[defect])
        assert contents(store) == plain(before)

    # More passages than a store writes at once, before and after.
    @pytest.mark.parametrize(("before", "after"), [(0, 2_100), (3, 2_100), (2_100, 1_050), (3, 0)])
    def test_a_stream_replaces_a_document(self, store: Store, before: int, after: int) -> None:
        neighbour = text_records("other", ["stays", "too"])
        old = text_records("a", [f"old {i}" for i in range(before)])
        new = text_records("a", [f"new {i}" for i in range(after)], seed=2, content_hash="2")
        store.upsert([*old, *neighbour])
        store.replace("a", iter(new))
        assert contents(store) == plain([*new, *neighbour])
        assert ids(store.search(None, "old", 20)["lexical"]) == []
        assert store.verify() == []

    @pytest.mark.parametrize("before", [0, 2])
    @pytest.mark.parametrize("defect", ["failure", "another document", "gap", "other dim"])
    def test_a_broken_stream_changes_nothing(self, store: Store, before: int, defect: str) -> None:
        def stream() -> Iterator[StoredPassage]:
            yield from text_records("broken", ["new"] * 1_500)
            if defect == "failure":
                raise EmbedderError("the source failed")
            for record in broken_records().get(defect) or text_records("z", ["another"]):
                passage = replace(record.passage, ordinal=record.passage.ordinal + 1_500)
                yield replace(record, passage=passage)

        stored = text_records("broken", ["before"] * before) + text_records("z", ["before"])
        store.upsert(stored)
        error = {"failure": EmbedderError, "other dim": IndexMismatchError}.get(defect)
        with pytest.raises(error or StoreError):
            store.replace("broken", stream())
        assert contents(store) == plain(stored)

    # No document, one (which may be streamed), several.
    @pytest.mark.parametrize("changed", ["", "a", "ac"])
    def test_a_change_of_some_documents(self, store: Store, changed: str) -> None:
        records = [r for name in "abcd" for r in text_records(name, ["zebra", "okapi"])]
        store.upsert(records)
        new = {name: text_records(name, ["quagga"], content_hash="2") for name in changed}
        inputs: list[StoredPassage] = []

        def change(stored: Iterator[StoredPassage]) -> list[StoredPassage]:
            inputs.extend(stored)
            return [record for name in changed for record in new[name]]

        store.update([*changed, *("\udce9" if changed else "")], change)
        assert plain(inputs) == plain(r for r in records if r.passage.document_id in changed)
        others = [r for r in records if r.passage.document_id not in changed]
        assert contents(store) == plain([*others, *(r for rows in new.values() for r in rows)])
        assert store.verify() == []

    @pytest.mark.parametrize("names", ["a", "ab", "ax"])
    def test_a_change_removes_the_documents_that_it_leaves_out(
        self, store: Store, names: str
    ) -> None:
        records = [r for name in "abc" for r in text_records(name, ["zebra"] * 3)]
        store.upsert(records)
        store.update(list(names), lambda stored: [])
        assert contents(store) == plain(r for r in records if r.passage.document_id not in names)
        store.update(["b", "c"], lambda stored: list(stored)[-3:])
        assert [document.id for document in store.documents()] == ["c"]
        assert store.verify() == []

    @pytest.mark.parametrize("names", ["a", "ab"])
    def test_a_change_that_fails_changes_nothing(self, store: Store, names: str) -> None:
        records = [r for name in "abc" for r in text_records(name, ["zebra"] * 3)]
        store.upsert(records)

        def fail(stored: Iterator[StoredPassage]) -> list[StoredPassage]:
            raise EmbedderError("the embedder failed")

        with pytest.raises(EmbedderError):
            store.update(list(names), fail)
        for result in (text_records("c", ["another"]), broken_records()["gap"], records[1:3]):
            with pytest.raises(StoreError):
                store.update([*names, "broken"], lambda stored, rows=result: rows)  # type: ignore[misc]
        assert contents(store) == plain(records)

    def test_no_change_comes_between_the_reading_and_the_writing(
        self, open_store: OpenStore
    ) -> None:
        self.check_changes(open_store(DIM))

    @staticmethod
    def check_changes(*stores: Store) -> None:
        """Change a document on one thread while others wait to change it, too."""
        store, other = stores[0], stores[-1]
        store.upsert(text_records("a", ["zebra"]))
        written = threading.Event()

        def append(store: Store, word: str, wait: Callable[[], object]) -> None:
            def change(stored: Iterator[StoredPassage]) -> list[StoredPassage]:
                (row,) = stored
                wait()
                return [replace(row, lexical=f"{row.lexical} {word}")]

            store.update(["a"], change)

        def compete() -> None:
            append(other, "okapi", lambda: None)
            written.set()

        thread = threading.Thread(target=compete)

        def start_and_wait() -> None:
            if not thread.ident:
                thread.start()
            # Not set, because the other change has to wait for this one.
            written.wait(0.2)

        append(store, "quagga", start_and_wait)
        thread.join()
        (row,) = store.scan(["a"])
        assert sorted(row.lexical.split()) == ["okapi", "quagga", "zebra"]

    def test_odd_ids(self, store: Store) -> None:
        records = [
            r for i, name in enumerate(ODD_IDS) for r in text_records(name, ["w"] * 2, seed=i)
        ]
        store.upsert(records)
        # Replacing a document must not touch others, even if its id is not a valid SQL literal.
        store.upsert([r for r in records if r.passage.document_id == "it's"])
        assert store.get([r.passage.id for r in records]) == [r.passage for r in records]
        for left, name in enumerate(ODD_IDS, start=1):
            assert store.delete([name]) == 2
            assert store.count() == len(records) - 2 * left

    def test_delete(self, store: Store) -> None:
        survivors = text_records("b", ["zebra"] * 2)
        store.upsert(text_records("a", ["zebra"] * 3) + survivors + text_records("c", ["zebra"]))
        assert store.delete(["a", "c", "c", "unknown"]) == 4
        assert contents(store) == plain(survivors)
        assert sorted(ids(store.search(None, "zebra", 9)["lexical"])) == ["b#0", "b#1"]
        assert sorted(ids(store.search(unit_vector(0), None, 9)["dense"])) == ["b#0", "b#1"]
        assert store.delete(["a"]) == 0

    def test_get_keeps_the_order_asked_for(self, store: Store) -> None:
        store.upsert(text_records("a", ["one", "two", "three"]))
        passage_ids = ["a#2", "unknown", "a#0", "a#2"]
        assert [passage.id for passage in store.get(passage_ids)] == ["a#2", "a#0", "a#2"]

    def test_dense_is_cosine(self, store: Store) -> None:
        records = [r for i in range(30) for r in text_records(f"d{i}", ["w"] * 10, seed=i + 1)]
        store.upsert(records)
        query = unit_vector(0)
        # The expected ranking, by exhaustive search.
        cosines = {r.passage.id: float(query @ r.vector) for r in records}
        expected = sorted(cosines, key=lambda key: (-cosines[key], key))[:25]
        hits = store.search(query, None, 25)["dense"]
        assert ids(hits) == expected
        assert [h.score for h in hits] == pytest.approx(
            [cosines[key] for key in expected], abs=1e-5
        )
        assert hits[0].passage == next(r.passage for r in records if r.passage.id == expected[0])

    def test_only_the_legs_asked_for(self, store: Store) -> None:
        store.upsert(text_records("a", ["zebra"]))
        assert set(store.search(unit_vector(0), None, 1)) == {"dense"}
        assert set(store.search(None, "zebra", 1)) == {"lexical"}
        assert set(store.search(None, None, 1)) == set()

    @pytest.mark.parametrize(("k", "expected"), [(0, 0), (1, 1), (3, 3), (10**6, 3)])
    def test_at_most_k(self, store: Store, k: int, expected: int) -> None:
        store.upsert(text_records("a", ["zebra"] * 3))
        legs = store.search(unit_vector(0), "zebra", k)
        assert [len(hits) for hits in legs.values()] == [expected, expected]

    def test_a_query_vector_of_another_length(self, store: Store) -> None:
        with pytest.raises(IndexMismatchError, match=str(DIM)):
            store.search(unit_vector(0, DIM + 1), None, 1)

    def test_ties_go_by_id(self, store: Store) -> None:
        names = [f"d{i:03d}" for i in range(120)]
        random.Random(1).shuffle(names)
        for first in range(0, 120, 40):
            batch = [r for name in names[first : first + 40] for r in text_records(name, ["zebra"])]
            store.upsert([replace(r, vector=unit_vector(5)) for r in batch])
        # Before and after `optimize`, because indexes may order rows differently.
        for _ in range(2):
            legs = store.search(unit_vector(5), "zebra", 5)
            assert ids(legs["dense"]) == [f"d{i:03d}#0" for i in range(5)]
            assert ids(legs["lexical"]) == [f"d{i:03d}#0" for i in range(5)]
            store.optimize()

    def test_lexical_prefers_rare_words(self, store: Store) -> None:
        common = [r for i in range(20) for r in text_records(f"c{i:02d}", ["common words here"])]
        store.upsert(common + text_records("rare", ["Quagga words there"]))
        hits = store.search(None, "What are the common QUAGGA words?", 30)["lexical"]
        assert ids(hits)[0] == "rare#0"
        # Every passage has "words" in common with the question.
        assert len(hits) == 21
        assert all(first.score >= second.score > 0 for first, second in itertools.pairwise(hits))

    def test_function_words_are_no_evidence_beside_others(self, store: Store) -> None:
        store.upsert(text_records("a", ["what is the matter"]) + text_records("who", ["The Who"]))
        assert ids(store.search(None, "What is the okapi?", 5)["lexical"]) == []
        assert ids(store.search(None, "who are the who", 5)["lexical"])[0] == "who#0"

    def test_weighted_alternatives_add_to_the_score(self, store: Store) -> None:
        store.upsert(text_records("a", ["zebra lion", "zebra", "lion cat", "dog"]))

        def scores(query: str | LexicalQuery) -> dict[str, float]:
            return {hit.passage.id: hit.score for hit in store.search(None, query, 9)["lexical"]}

        zebra, lion = scores("zebra"), scores("lion")
        both = scores(LexicalQuery("zebra", (WeightedWord("lion", 0.25),)))
        assert both == pytest.approx(
            {id: zebra.get(id, 0) + 0.25 * lion.get(id, 0) for id in zebra | lion}
        )
        lion_scores = scores(LexicalQuery("what is the unknown", (WeightedWord("lion", 0.25),)))
        assert lion_scores == pytest.approx({id: 0.25 * score for id, score in lion.items()})
        assert scores(LexicalQuery("", (WeightedWord("unknown", 1.0),))) == {}

    def test_vocabulary_follows_every_change(self, store: Store) -> None:
        assert store.vocabulary().words == ()
        store.upsert(text_records("a", ["Red kite, red kite", "ÉTÉ 日本 red"]))
        assert vocabulary_counts(store) == (
            {"red": 2, "kite": 1, "été": 1, "日本": 1},
            {"red kite": 2, "kite red": 1, "été 日本": 1, "日本 red": 1},
        )
        store.upsert(text_records("b", ["red fox"]))
        store.upsert(text_records("a", ["blue kite"], content_hash="2"))
        store.optimize()
        assert vocabulary_counts(store) == (
            {"red": 1, "fox": 1, "blue": 1, "kite": 1}, {"red fox": 1, "blue kite": 1},
        )  # fmt: skip
        store.delete(["a"])
        assert vocabulary_counts(store) == ({"red": 1, "fox": 1}, {"red fox": 1})
        store.delete(["b"])
        assert vocabulary_counts(store) == ({}, {})

    @pytest.mark.parametrize("question", ODD_QUESTIONS)
    def test_any_characters_are_words(self, store: Store, question: str) -> None:
        store.upsert(text_records("a", ["a zebra", "an okapi"]))
        assert ids(store.search(None, question, 5)["lexical"]) == ["a#0"]

    @pytest.mark.parametrize("question", ["", " ", "?!", '"', "()", "*", "\n", "--", "🎤"])
    def test_no_words_no_hits(self, store: Store, question: str) -> None:
        store.upsert(text_records("a", ["a zebra ?! * 🎤"]))
        assert ids(store.search(None, question, 5)["lexical"]) == []

    def test_what_is_not_unicode_is_not_there(self, store: Store) -> None:
        store.upsert(text_records("a", ["zebra"]))
        assert store.get(["caf\udce9#0", "a#0"]) == store.get(["a#0"])
        assert store.delete(["caf\udce9"]) == 0
        assert ids(store.search(None, "zebra \udce9", 5)["lexical"]) == ["a#0"]
        with pytest.raises(FilterError, match="Unicode"):
            store.search(None, "zebra", 5, "title = '\udce9'")

    def test_passages_without_words(self, store: Store) -> None:
        store.upsert(text_records("a", ["", "zebra"]))
        assert ids(store.search(None, "zebra", 5)["lexical"]) == ["a#1"]

    def test_search_sees_every_change_before_and_after_optimize(self, store: Store) -> None:
        store.upsert(text_records("a", ["zebra one"], seed=1))
        store.optimize()
        store.upsert(text_records("b", ["zebra two"], seed=2))
        assert sorted(ids(store.search(None, "zebra", 5)["lexical"])) == ["a#0", "b#0"]
        store.upsert(text_records("a", ["okapi"], seed=3))
        store.delete(["b"])
        store.upsert(text_records("c", ["zebra three"], seed=4))
        for _ in range(2):
            legs = store.search(unit_vector(3000), "zebra", 5)
            assert ids(legs["lexical"]) == ["c#0"]
            assert ids(legs["dense"])[0] == "a#0"
            assert store.verify() == []
            store.optimize()

    def test_scan_is_ordered_and_of_one_moment(self, store: Store) -> None:
        for name in ("b", "a", "c"):
            store.upsert(text_records(name, ["w"] * 11))
        records = store.scan()
        first = next(records)
        # Changes after the first row must not appear in a running scan.
        store.upsert(text_records("aa", ["w"]))
        store.delete(["c"])
        rows = [first, *records]
        assert [(r.passage.document_id, r.passage.ordinal) for r in rows] == [
            (name, ordinal) for name in "abc" for ordinal in range(11)
        ]

    def test_documents(self, store: Store) -> None:
        clip = Passage(
            "b.wav", 0, start=0.0, end=5.0, source="/b.wav", title="B", metadata={"n": 1}
        )
        later = replace(clip, ordinal=1, start=4.0, end=9.5)
        recording = [StoredPassage(passage, unit_vector(1), "", "h2") for passage in (clip, later)]
        store.upsert(recording + text_records("a.md", ["one", "two", "three"], content_hash="h1"))
        assert store.documents() == [
            StoredDocument("a.md", "h1", "a.md", "", "text", 3, 0.0, {}),
            StoredDocument("b.wav", "h2", "/b.wav", "B", "audio", 2, 9.5, {"n": 1}),
        ]

    def test_passages_and_words_of_a_filter(self, store: Store) -> None:
        german = text_records("a", ["ein Hund", "zwei Hunde"], metadata={"lang": "de"})
        store.upsert([*german, *text_records("b", ["a dog"], metadata={"lang": "en"})])
        node = parse("lang = 'de'")
        assert (store.count(), store.count(node)) == (3, 2)
        assert store.count(parse("lang = 'fr'")) == 0
        words = store.vocabulary(node)
        counts = dict(zip(words.words, words.counts.tolist(), strict=True))
        assert counts == {"ein": 1, "hund": 1, "hunde": 1, "zwei": 1}
        assert "dog" in store.vocabulary().words  # not replaced by the count of some passages
        hits = store.search(unit_vector(1), "hund dog", 9, node)
        assert {hit.passage.document_id for leg in hits.values() for hit in leg} == {"a"}

    def test_filter_comes_before_the_cut(self, store: Store) -> None:
        query = unit_vector(0)
        near = [
            r for i in range(50) for r in text_records(f"n{i}", ["zebra"], metadata={"lang": "de"})
        ]
        far = text_records("far", ["a zebra among many other words"], metadata={"lang": "en"})
        store.upsert([replace(r, vector=query) for r in near] + [replace(far[0], vector=-query)])
        # A filter after the cut at k would find nothing: 50 nearer passages do not pass it.
        legs = store.search(query, "zebra", 3, "lang = 'en'")
        assert ids(legs["dense"]) == ids(legs["lexical"]) == ["far#0"]
        legs = store.search(query, "zebra", 3, "lang = 'fr'")
        assert legs == {"dense": [], "lexical": []}

    def test_filters_pass_what_matches(self, store: Store) -> None:
        chance = random.Random(11)
        passages = random_passages(chance, 80)
        vectors = [unit_vector(seed) for seed in range(len(passages))]
        pairs = zip(passages, vectors, strict=True)
        rows = [StoredPassage(passage, vector, "zebra", "h") for passage, vector in pairs]
        store.upsert(rows[:60])
        store.optimize()  # the last rows are not in the indexes of a store
        store.upsert(rows[60:])
        selective = 0  # filters that pass some passages, but not all
        for _ in range(self.filters):
            where = random_filter(chance)
            tree = parse(where)
            expected = {passage.id for passage in passages if matches(tree, passage)}
            hits = store.search(unit_vector(0), None, 1_000, where)["dense"]
            assert set(ids(hits)) == expected, where
            selective += 0 < len(expected) < len(passages)
        # Otherwise the random filters would prove little.
        assert selective > self.filters / 4

    def test_every_value_compares_as_in_the_filter_language(self, store: Store) -> None:
        passages = [
            Passage(f"d{number}", 0, metadata={"key": value})
            for number, value in enumerate(FILTER_VALUES)
        ]
        store.upsert([StoredPassage(passage, unit_vector(1), "", "h") for passage in passages])
        for value in FILTER_VALUES[:: 1 if self.filters >= 400 else 8]:
            for operator in ("=", "!=", "<", ">="):
                where = f"key {operator} {format_value(value)}"
                expected = {p.id for p in passages if matches(parse(where), p)}
                hits = store.search(unit_vector(0), None, 1_000, where)["dense"]
                assert set(ids(hits)) == expected, where

    # Numbers, lists, depths and patterns beyond the limits of many SQL parsers.
    @pytest.mark.parametrize(
        "where",
        [
            "key < 1" + "0" * 300,
            "key > -1" + "0" * 300,
            "key in (" + ", ".join(map(str, range(2_000))) + ")",
            " or ".join(f"key = {i}" for i in range(300)),
            "not " * 40 + "key = 1",
            "key like '" + "%1" * 200 + "'",
        ],
        ids=["huge", "minus huge", "many values", "many conditions", "deep", "long pattern"],
    )
    def test_large_filters(self, store: Store, where: str) -> None:
        metadatas: list[Metadata] = [{"key": 1}, {"key": "1"}, {"key": 1e308}, {}]
        passages = [Passage(f"d{i}", 0, metadata=m) for i, m in enumerate(metadatas)]
        store.upsert([StoredPassage(passage, unit_vector(1), "", "h") for passage in passages])
        expected = {p.id for p in passages if matches(parse(where), p)}
        assert set(ids(store.search(unit_vector(0), None, 9, where)["dense"])) == expected

    def test_a_filter_that_cannot_be_understood(self, store: Store) -> None:
        with pytest.raises(FilterError):
            store.search(unit_vector(0), None, 1, "lang = ")

    def test_threads_write_at_once(self, open_store: OpenStore) -> None:
        store = open_store(DIM)
        run_together([writer(store, name) for name in "abcd"])
        check_writers(store, "abcd")


class PersistentStoreConformance(StoreConformance):
    """Tests of a store on disk; each call of `open_store` opens the same one."""

    def test_reopen(self, open_store: OpenStore) -> None:
        records = text_records("a", ["zebra", "okapi"], metadata={"lang": "en"})
        store = open_store(DIM)
        store.upsert(records)
        store.close()
        again = open_store(DIM)
        assert contents(again) == plain(records)
        assert ids(again.search(None, "zebra", 5, "lang = 'en'")["lexical"]) == ["a#0"]
        again.optimize()
        assert contents(open_store(DIM)) == plain(records)

    def test_another_dim_is_refused(self, open_store: OpenStore) -> None:
        open_store(DIM).close()
        with pytest.raises(IndexMismatchError, match=rf"{DIM}.*{DIM + 1}"):
            open_store(DIM + 1)

    def test_a_reader_sees_what_another_has_written(self, open_store: OpenStore) -> None:
        # Two handles stand for two processes: neither may rely on shared memory.
        writer_store, reader_store = open_store(DIM), open_store(DIM)
        assert reader_store.count() == 0
        writer_store.upsert(text_records("a", ["zebra"]))
        assert ids(reader_store.search(None, "zebra", 1)["lexical"]) == ["a#0"]
        assert reader_store.count() == 1
        assert [document.id for document in reader_store.documents()] == ["a"]
        assert reader_store.vocabulary().words == ("zebra",)
        writer_store.optimize()
        writer_store.delete(["a"])
        assert reader_store.search(unit_vector(0), "zebra", 1) == {"dense": [], "lexical": []}
        assert reader_store.vocabulary().words == ()

    def test_two_handles_write_at_once(self, open_store: OpenStore) -> None:
        run_together([writer(open_store(DIM), name) for name in "abcd"])
        check_writers(open_store(DIM), "abcd")

    def test_two_handles_change_a_document(self, open_store: OpenStore) -> None:
        self.check_changes(open_store(DIM), open_store(DIM))

    def test_closed(self, open_store: OpenStore) -> None:
        store = open_store(DIM)
        store.close()
        store.close()
        calls: list[Callable[[], object]] = [
            store.count,
            store.documents,
            store.optimize,
            store.verify,
            store.scan,
            lambda: store.upsert(text_records("a", ["one"])),
            lambda: store.replace("a", text_records("a", ["one"])),
            lambda: store.update(["a"], list),
            lambda: store.delete(["a"]),
            lambda: store.get(["a#0"]),
            lambda: store.content_hash("a"),
            store.vocabulary,
            lambda: store.search(unit_vector(0), None, 1),
        ]
        for call in calls:
            with pytest.raises(StoreError, match="closed"):
                call()
