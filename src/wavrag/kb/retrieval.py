"""Retrieve passages for a query: correct its words, embed it, search both legs, fuse and rerank."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from wavrag import audio, telemetry
from wavrag.corrections import apply_corrections, is_replacement, lexical_query
from wavrag.embed import Embedder, unit_rows
from wavrag.errors import InputError
from wavrag.kb.spelling import VocabularyIndexes
from wavrag.search import (
    Fusion,
    Reranker,
    group_similar,
    reciprocal_rank_fusion,
    reorder_hits,
    score_fusion,
    score_hits,
)  # fmt: skip
from wavrag.store import Store, is_unicode
from wavrag.types import (
    Correction,
    EmbedInput,
    Float32,
    Hit,
    Leg,
    LexicalQuery,
    Query,
    ScoredPassage,
)  # fmt: skip

# Hits of each leg before fusion, at least. Recall@10 of the spoken training questions of
# `tools/fit_fusion.py` gains from more than 50.
CANDIDATES = 100

NAME_WORDS = 200  # words of a text that may name a speaker: a filter with 2,000 takes seconds


@dataclass(frozen=True, slots=True, eq=False)
class Retrieval:
    """Result of a query."""

    hits: tuple[Hit, ...]  # best first
    # Text of the query, as typed or as recognised with the words of the knowledge base; None if
    # there is none.
    words: str | None
    vector: Float32  # unit vector of the query, shape = (dim,)
    lexical: LexicalQuery | None  # words of the lexical leg; None if there are none
    legs: Mapping[Leg, Sequence[ScoredPassage]]  # the ranked lists that `hits` are fused from
    # Milliseconds: `embed`, `search` with the spelling of typed words, `rerank` with a reranker.
    timings: dict[str, float] = field(default_factory=dict)
    # Misspelled or misheard words of the query, with the words searched for instead.
    corrections: tuple[Correction, ...] = ()
    suggestion: str | None = None  # typed text with its corrections; None without any
    # Scores of the reranker from 0 to 1 by passage id; empty without a reranker.
    rerank_scores: Mapping[str, float] = field(default_factory=dict)


class Retriever:
    """Searches a store with an embedder."""

    def __init__(
        self, embedder: Embedder, store: Store, fusion: Fusion, reranker: Reranker | None
    ) -> None:
        self._embedder = embedder
        self._store = store
        self._fusion = fusion
        self._reranker = reranker
        self._indexes = VocabularyIndexes(store)

    def retrieve(self, query: Query, k: int) -> Retrieval:
        """Return the best k passages; see `KnowledgeBase.retrieve`."""
        start = time.perf_counter()
        if not is_unicode(query.text or ""):
            # Bytes that are not UTF-8 become lone surrogates in the argument of a program.
            raise InputError(f"the query {query.text!r} is not valid Unicode: decode its bytes")
        spelling = (
            self._indexes.correct_spelling(query.text) if query.text and query.spelling else []
        )
        suggestion = apply_corrections(query.text or "", spelling) if spelling else None
        inputs = self._query_inputs(replace(query, text=suggestion or query.text))
        corrector = self._indexes.speech_corrector() if query.clip and query.spelling else None
        embed_start = time.perf_counter()
        model = {"gen_ai.request.model": self._embedder.spec.name}
        with telemetry.stage("hear" if query.clip else "embed", model):
            result = self._embedder.embed_questions(inputs, corrector)
        vector = unit_rows(result.vectors.mean(0, keepdims=True))[0]
        search_start = time.perf_counter()
        transcript = " ".join(filter(None, result.texts)) if query.clip else ""
        mishearings = [correction for row in result.corrections for correction in row]
        corrections = [*spelling, *mishearings]
        query_words = " ".join(filter(None, (query.text, transcript)))
        lexical = lexical_query(query_words, corrections) if query_words else None
        with telemetry.stage("search", {"gen_ai.request.top_k": k}) as span:
            legs = self._store.search(vector, lexical, max(CANDIDATES, k), query.where)
            span.set({}, {"gen_ai.retrieval.query.text": query_words})
        with telemetry.stage("fuse"):
            hits = self.fuse(legs)
        end = time.perf_counter()
        embedding = search_start - embed_start
        timings = {"embed": 1e3 * embedding, "search": 1e3 * (end - start - embedding)}
        words = (
            " ".join(filter(None, (query.text, apply_corrections(transcript, mishearings)))) or None
        )
        scores: dict[str, float] = {}
        if self._reranker is not None and words:
            with telemetry.stage("rerank"):
                scores = score_hits(self._reranker, words, hits)
            hits = reorder_hits(hits, scores)
            timings["rerank"] = 1e3 * (time.perf_counter() - end)
        return Retrieval(
            hits=tuple(group_similar(hits, k)), words=words, vector=vector, lexical=lexical,
            legs=legs, timings=timings, corrections=tuple(filter(is_replacement, corrections)),
            suggestion=suggestion, rerank_scores=scores,
        )  # fmt: skip

    def fuse(self, legs: Mapping[Leg, Sequence[ScoredPassage]]) -> list[Hit]:
        """Merge the ranked lists of a search into one, by scores or by ranks."""
        if self._fusion == "ranks":
            return reciprocal_rank_fusion(legs)
        return score_fusion(legs, self._store.count(), calibrated=self._embedder.spec.calibrated)

    def _query_inputs(self, query: Query) -> list[EmbedInput]:
        if query.clip is None:
            if not query.text or not query.text.strip():
                raise InputError("the query is empty: give it words or a recording")
            return [EmbedInput(text=query.text)]
        spec = self._embedder.spec
        if spec.sampling_rate is None:
            raise InputError(f"{spec.name} embeds text only: ask in words, or index with another")
        clip = audio.resample(query.clip, spec.sampling_rate)
        if spec.max_audio_seconds is None or clip.duration <= spec.max_audio_seconds:
            return [EmbedInput(query.text, clip)]
        windows = audio.windows([clip.samples], clip.sample_rate)
        return [EmbedInput(query.text, window) for window in windows]

    def find_speakers(self, text: str) -> list[str]:
        """Return the speakers of recordings whose names occur in a text."""
        words = re.findall(r"\w+", text)[:NAME_WORDS]
        names = {*words, *map(str.capitalize, words)}
        names |= {f"{first} {second}" for first, second in pairwise(words)}
        if not names:
            return []
        values = ", ".join(f"'{name}'" for name in sorted(names))
        # Any vector will do: the filter decides.
        vector = np.eye(1, self._embedder.spec.dim, dtype=np.float32)[0]
        legs = self._store.search(vector, None, CANDIDATES, f"speaker in ({values})")
        speakers = {match.passage.speaker for match in legs["dense"]}
        return sorted(speaker for speaker in speakers if speaker is not None)
