"""Hard negatives: contents that an embedder ranks high for a query although they are irrelevant.

Every query is compared with the positives of all records and with a corpus. A candidate that
scores nearly as high as the positive may be an unmarked positive, and is dropped: with a margin of
5 % this is TopK-PercPos of NV-Retriever (arXiv 2407.15831, section 3).
"""

from __future__ import annotations

import hashlib
import io
import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from wavrag.audio import load
from wavrag.data.records import (
    Content,
    TrainingRecord,
    parse_content,
    parse_lines,
    resolve_audio,
    skip_or_raise,
)
from wavrag.embed import Embedder, EmbedderSpec, check_inputs
from wavrag.errors import EmbedderError, InputError
from wavrag.types import EmbedInput, Float32, OnNote, Role

Indices: TypeAlias = npt.NDArray[np.intp]

BATCH = 32  # contents embedded together
BLOCK = 1 << 24  # scores in memory at a time: 64 MiB


@dataclass(frozen=True, slots=True)
class MineOptions:
    """Options of `mine_negatives`."""

    negatives: int = 7  # maximum number of new negatives of a record
    range_min: int = 0  # number of best candidates to skip
    # rank of the last candidate to consider; None for no limit, or with random sampling for
    # `range_min` plus 10 per negative
    range_max: int | None = None
    # minimum distance to the score of the positive, as a share of its magnitude; None for no such
    # limit
    margin: float | None = 0.05
    # minimum distance to the score of the positive; None for no such limit
    absolute_margin: float | None = None
    max_score: float | None = None  # highest score of a negative; None for no limit
    # `top` for the best remaining candidates, `random` for a random sample of them
    sampling: Literal["top", "random"] = "top"
    seed: int = 0  # random seed of the sample

    def __post_init__(self) -> None:
        if self.negatives < 1:
            raise InputError(f"{self.negatives} negatives: ask for at least 1")
        if self.range_min < 0:
            raise InputError(f"a rank of {self.range_min} to begin at: give 0 or more")
        if self.range_max is not None and self.range_max - self.range_min < self.negatives:
            raise InputError(
                f"ranks {self.range_min} to {self.range_max} cannot hold {self.negatives}"
                " negatives: widen the range"
            )
        if self.margin is not None and not 0 <= self.margin <= 1:
            raise InputError(f"a margin of {self.margin:g}: give a share from 0 to 1")

    @property
    def max_rank(self) -> int | None:
        """Rank of the last candidate to consider."""
        if self.range_max is None and self.sampling == "random":
            return self.range_min + 10 * self.negatives
        return self.range_max


@dataclass(frozen=True, slots=True)
class MiningResult:
    """Records with new negatives, and statistics."""

    records: tuple[TrainingRecord, ...]  # all records; new negatives follow the earlier ones
    added: int  # number of new negatives
    short: int  # number of records with fewer new negatives than requested
    positive_score: float  # mean score of the positives; NaN if nothing was compared
    negative_score: float  # mean score of the new negatives; NaN if there are none


def select_negatives(
    scores: Float32,
    positives: Sequence[Indices],
    excluded: Sequence[Indices],
    options: MineOptions,
    first: int = 0,
) -> list[Indices]:
    """Select the negatives of some queries, best first; ties are broken by column.

    Candidates are ranked and cut after `range_max`; then those with too high a score are dropped,
    then the `range_min` best. Margins refer to the positive with the lowest score.

    Args:
        scores: scores of every candidate for every query, shape = (n_queries, n_candidates).
        positives: for each query, the columns of its positives, at least one.
        excluded: for each query, further columns that cannot be negatives.
        options: limits and sampling.
        first: number of the first query; random samples depend on it.
    """
    selections = []
    queries = zip(scores, positives, excluded, strict=True)
    for number, (row, positive, unusable) in enumerate(queries, start=first):
        max_score = _max_score(float(row[positive].min()), options)
        candidates = row.copy()
        candidates[positive] = candidates[unusable] = -np.inf
        if options.max_rank is None:
            candidates[candidates > max_score] = -np.inf
            columns = _top_columns(candidates, options.range_min + options.negatives)
        else:
            columns = _top_columns(candidates, options.max_rank)
            columns = columns[candidates[columns] <= max_score]
        columns = columns[options.range_min :]
        if options.sampling == "random" and len(columns) > options.negatives:
            # Seeded by the number of the query, so that the size of blocks makes no difference.
            rng = np.random.default_rng((options.seed, number))
            columns = columns[np.sort(rng.choice(len(columns), options.negatives, replace=False))]
        selections.append(columns[: options.negatives])
    return selections


def _max_score(positive: float, options: MineOptions) -> float:
    """Return the highest score of a negative, given the score of the positive."""
    limit = math.inf if options.max_score is None else options.max_score
    if options.margin is not None:
        # The magnitude, since cosines can be negative, where a share of the score would raise it.
        limit = min(limit, positive - abs(positive) * options.margin)
    if options.absolute_margin is not None:
        limit = min(limit, positive - options.absolute_margin)
    return limit


def _top_columns(row: Float32, count: int) -> Indices:
    """Return the columns of the highest finite scores, best first."""
    count = min(count, len(row))
    # Of a million candidates, partitioning takes 4 ms and sorting 380 ms.
    lowest = np.partition(row, -count)[-count]
    columns = np.flatnonzero((row >= lowest) & (row > -np.inf))
    return columns[np.argsort(-row[columns], kind="stable")][:count]


def mine_negatives(
    records: Sequence[TrainingRecord],
    embedder: Embedder,
    corpus: Iterable[Content] = (),
    options: MineOptions | None = None,
    *,
    on_note: OnNote = None,
    on_progress: Callable[[int, int], None] = lambda count, total: None,
) -> MiningResult:
    """Add hard negatives to records.

    These are never negatives of a query: positives of any record with the same query, contents
    with the text or audio of such a positive, and negatives that the record has already.

    Args:
        records: records; their positives are candidates.
        embedder: embedder that scores candidates; one without audio embeds transcripts.
        corpus: further candidates.
        options: limits and sampling.
        on_note: called with a message for every content that cannot be embedded and is skipped;
            without it, the first one is an error.
        on_progress: called with the number of distinct contents embedded and their total.

    Raises:
        InputError: a content cannot be embedded and there is no `on_note`.

    Example:
        >>> from wavrag.embed import load_embedder
        >>> pairs = [("Who wrote Emma?", "Jane Austen."), ("Who wrote Dracula?", "Bram Stoker.")]
        >>> records = [TrainingRecord(q, Content(text=q), (Content(text=a),)) for q, a in pairs]
        >>> options = MineOptions(negatives=1, margin=None)
        >>> result = mine_negatives(records, load_embedder("fake"), options=options)
        >>> result.records[0].negatives[0].text
        'Bram Stoker.'
    """
    queries, candidates = _ContentPool(on_note), _ContentPool(on_note)
    rows = [queries.add(record.query, f"record {record.id!r}: query") for record in records]
    keys = [queries.key(record.query, row) for record, row in zip(records, rows, strict=True)]
    positives_by_key = _add_positives(candidates, records, keys)
    for number, content in enumerate(corpus, start=1):
        candidates.add(content, f"corpus entry {number}")

    count = len(queries.contents)
    total = count + len(candidates.contents)
    query_vectors = _embed_pool(queries, embedder, "query", lambda n: on_progress(n, total))
    candidate_vectors = _embed_pool(
        candidates, embedder, "passage", lambda n: on_progress(count + n, total)
    )
    # A zero vector marks a content that could not be embedded.
    unusable = set(np.flatnonzero(~candidate_vectors.any(axis=1)).tolist())
    jobs = []
    for number, (record, query, key) in enumerate(zip(records, rows, keys, strict=True)):
        positives = positives_by_key[key]
        usable = positives - unusable
        if query is not None and query_vectors[query].any() and usable:
            excluded = candidates.find_excluded(positives, record.negatives)
            jobs.append(_MiningJob(number, query, _sorted_array(usable), excluded))
    vectors = query_vectors, candidate_vectors
    return _run_jobs(records, jobs, vectors, candidates.contents, options or MineOptions())


def _add_positives(
    candidates: _ContentPool, records: Sequence[TrainingRecord], keys: Sequence[str]
) -> defaultdict[str, set[int]]:
    """Add the positives of all records; return their rows by the key of the query."""
    # By query rather than by record: a passage that answers the same question in another record
    # is no negative either.
    positives_by_key: defaultdict[str, set[int]] = defaultdict(set)
    for record, key in zip(records, keys, strict=True):
        for content in record.positives:
            row = candidates.add(content, f"record {record.id!r}: positive")
            if row is not None:
                positives_by_key[key].add(row)
    return positives_by_key


@dataclass(frozen=True, slots=True)
class _MiningJob:
    """A record to add negatives to."""

    record: int  # number of the record
    query: int  # row in the vectors of the queries
    positives: Indices  # rows in the vectors of the candidates
    excluded: Indices  # rows in the vectors of the candidates that cannot be negatives


def _run_jobs(
    records: Sequence[TrainingRecord],
    jobs: Sequence[_MiningJob],
    vectors: tuple[Float32, Float32],
    contents: Sequence[Content],
    options: MineOptions,
) -> MiningResult:
    """Score all candidates for a block of queries at a time, and select negatives."""
    query_vectors, candidate_vectors = vectors
    results, added = list(records), 0
    short = len(records) - len(jobs)
    positive_sum = negative_sum = 0.0
    unusable = ~candidate_vectors.any(axis=1)
    size = max(1, BLOCK // max(1, len(candidate_vectors)))
    for start in range(0, len(jobs), size):
        block = jobs[start : start + size]
        scores = query_vectors[[job.query for job in block]] @ candidate_vectors.T
        scores[:, unusable] = -np.inf
        positives, excluded = [job.positives for job in block], [job.excluded for job in block]
        selections = select_negatives(scores, positives, excluded, options, start)
        for job, row, columns in zip(block, scores, selections, strict=True):
            record = results[job.record]
            negatives = tuple(contents[column] for column in columns)
            results[job.record] = replace(record, negatives=(*record.negatives, *negatives))
            added += len(negatives)
            short += len(negatives) < options.negatives
            positive_sum += float(row[job.positives].min())
            negative_sum += float(row[columns].sum())
    return MiningResult(
        tuple(results),
        added,
        short,
        positive_sum / len(jobs) if jobs else math.nan,
        negative_sum / added if added else math.nan,
    )


def read_corpus(path: str | os.PathLike[str], on_note: OnNote = None) -> Iterator[Content]:
    """Stream a JSON Lines file of contents; relative paths are resolved against its folder.

    Args:
        path: file with one object per line, with the fields of `Content`.
        on_note: called with a message for every malformed line, which is skipped; without it, a
            malformed line is an error.

    Raises:
        InputError: the file cannot be read, or a line is malformed and there is no `on_note`.
    """
    for content in parse_lines(path, parse_content, on_note):
        yield resolve_audio(content, Path(path).parent)


@dataclass(slots=True)
class _ContentPool:
    """Distinct contents, with an index of their data and one of their words.

    A row is the position of a content in `contents`.
    """

    on_note: OnNote
    contents: list[Content] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)  # names of the contents in messages
    _row_by_data: dict[str, int] = field(default_factory=dict)
    _rows_by_words: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _digests: dict[str, str] = field(default_factory=dict)

    def add(self, content: Content, owner: str) -> int | None:
        """Add a content, and return its row; None if its recording cannot be read."""
        try:
            data = self._data_key(content)
        except OSError as error:
            message = f"{owner}: {content.audio!r} cannot be read: {error.strerror}"
            skip_or_raise(message, self.on_note)
            return None
        row = self._row_by_data.setdefault(data, len(self.contents))
        if row == len(self.contents):
            self.contents.append(content)
            self.owners.append(owner)
        elif _words(content) and not _words(self.contents[row]):
            self.contents[row] = replace(self.contents[row], transcript=content.transcript)
        else:
            return row
        if words := _words(content):
            self._rows_by_words[words].append(row)
        return row

    def find_excluded(self, positives: Iterable[int], negatives: Iterable[Content]) -> Indices:
        """Return the rows equal to a positive or to a negative of a record."""
        rows = set()
        for row in positives:
            words = _words(self.contents[row])
            rows.update(self._rows_by_words[words] if words else [row])
        return _sorted_array(rows.union(*map(self._find_rows, negatives)))

    def _find_rows(self, content: Content) -> set[int]:
        """Return the rows with the same data or the same words as a content."""
        rows = set(self._rows_by_words.get(_words(content), ()))
        try:
            row = self._row_by_data.get(self._data_key(content))
        except OSError:
            row = None
        return rows if row is None else {*rows, row}

    def key(self, content: Content, row: int | None) -> str:
        """Return a key that is equal for equal queries: by words if they are known, or by audio."""
        return _words(content) if row is None else _words(self.contents[row]) or f"#{row}"

    def _data_key(self, content: Content) -> str:
        # By the bytes of the audio, so that copies of a recording are one content.
        digest = None
        if isinstance(content.audio, bytes):
            digest = hashlib.sha256(content.audio).hexdigest()
        elif content.audio is not None:
            if content.audio not in self._digests:
                with Path(content.audio).open("rb") as file:
                    self._digests[content.audio] = hashlib.file_digest(file, "sha256").hexdigest()
            digest = self._digests[content.audio]
        span = (content.start, content.end) if digest else ()
        return json.dumps([_normalize(content.text), digest, *span])


def _sorted_array(rows: Iterable[int]) -> Indices:
    return np.array(sorted(rows), np.intp)


def _normalize(text: str | None) -> str:
    """Remove differences of case and white space."""
    return " ".join((text or "").casefold().split())


def _words(content: Content) -> str:
    return _normalize(content.text or content.transcript)


def _embed_pool(
    pool: _ContentPool, embedder: Embedder, role: Role, on_progress: Callable[[int], None]
) -> Float32:
    """Embed a pool; the vector of a content that cannot be embedded is zero."""
    vectors = np.zeros((len(pool.contents), embedder.spec.dim), np.float32)
    for start in range(0, len(vectors), BATCH):
        rows, inputs = [], []
        for row in range(start, min(start + BATCH, len(vectors))):
            try:
                inputs.append(_embed_input(pool.contents[row], embedder.spec))
                rows.append(row)
            except (InputError, EmbedderError) as error:
                # The embedder counts the inputs of its batch, which would mislead here.
                reason = str(error).removeprefix("input 0 ")
                skip_or_raise(f"{pool.owners[row]}: {reason}", pool.on_note)
        if inputs:
            vectors[rows] = embedder.embed(inputs, role)
        on_progress(min(start + BATCH, len(vectors)))
    return vectors


def _embed_input(content: Content, spec: EmbedderSpec) -> EmbedInput:
    """Build the input of the embedder for a content.

    Raises:
        AudioError: the recording cannot be decoded.
        EmbedderError: the embedder does not support the content.
    """
    if content.audio is None or spec.sampling_rate is None:
        embed_input = EmbedInput(content.text or content.transcript)
        if embed_input.text is None:
            raise EmbedderError(
                f"is sound without known words, and {spec.name} only reads: use an embedder that"
                " hears"
            )
    else:
        file = io.BytesIO(content.audio) if isinstance(content.audio, bytes) else content.audio
        clip = load(file, spec.sampling_rate, content.start or 0.0, content.end)
        embed_input = EmbedInput(content.text, clip)
    check_inputs(spec, [embed_input])
    return embed_input
