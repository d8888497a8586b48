"""Hard negatives: entries that an embedder takes for an answer, and that are none.

The query of every record is compared with the positives of all records and with a corpus. What
scores nearly as high as the positive may well be a positive that nobody marked, and is left out:
with the margin of 5 % this is TopK-PercPos of NV-Retriever (arXiv 2407.15831, section 3).
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
    parse_record,
    read_numbered_lines,
    skip_or_raise,
)
from wavrag.embed import Embedder, EmbedderSpec, check_inputs
from wavrag.errors import EmbedderError, InputError
from wavrag.types import EmbedInput, Float32, NoteCallback, Role

Rows: TypeAlias = npt.NDArray[np.intp]

BATCH = 32  # entries embedded together
BLOCK = 1 << 24  # scores held at a time


@dataclass(frozen=True, slots=True)
class MineOptions:
    """What counts as a hard negative.

    Attributes:
        negatives: most that a record is given.
        range_min: so many of the best candidates are left out.
        range_max: rank among the candidates beyond which nothing is looked at; None for no such
            rank, and with random sampling for `range_min` and 10 a negative.
        margin: share of the positive's score, as a magnitude, that a negative stays below it; None
            for no such margin.
        absolute_margin: the same as a difference of scores.
        max_score: highest score of a negative.
        sampling: `top` for the best that remain, `random` for a draw of them.
        seed: of the draw.
    """

    negatives: int = 7
    range_min: int = 0
    range_max: int | None = None
    margin: float | None = 0.05
    absolute_margin: float | None = None
    max_score: float | None = None
    sampling: Literal["top", "random"] = "top"
    seed: int = 0

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
    def deepest(self) -> int | None:
        """Rank beyond which nothing is looked at."""
        if self.range_max is None and self.sampling == "random":
            return self.range_min + 10 * self.negatives
        return self.range_max


@dataclass(frozen=True, slots=True)
class MiningResult:
    """What `mine` found.

    Attributes:
        records: all that were given, with what was found appended to their negatives.
        added: negatives found.
        short: records that were given fewer than asked for.
        positive_score: mean score of the positives; NaN if nothing was compared.
        negative_score: mean score of the negatives found; NaN if there are none.
    """

    records: tuple[TrainingRecord, ...]
    added: int
    short: int
    positive_score: float
    negative_score: float


def select(
    scores: Float32,
    positives: Sequence[Rows],
    excluded: Sequence[Rows],
    options: MineOptions,
    first: int = 0,
) -> list[Rows]:
    """The negatives of some queries, best first; ties are broken by column.

    Candidates are ranked; of the first `range_max` those that score too high are dropped, then the
    `range_min` best. The margins are taken from the lowest positive.

    Args:
        scores: of every candidate for every query, shape = (n_queries, n_candidates).
        positives: for each query the columns that answer it, at least one.
        excluded: for each query the columns that are no candidates; positives never are.
        options: what counts as a hard negative.
        first: number of the first query, on which random draws depend.
    """
    chosen = []
    for number, (given, right, out) in enumerate(zip(scores, positives, excluded, strict=True)):
        limit = _limit(float(given[right].min()), options)
        row = given.copy()
        row[right] = row[out] = -np.inf
        if options.deepest is None:
            row[row > limit] = -np.inf
            found = _best(row, options.range_min + options.negatives)
        else:
            found = _best(row, options.deepest)
            found = found[row[found] <= limit]
        found = found[options.range_min :]
        if options.sampling == "random" and len(found) > options.negatives:
            rng = np.random.default_rng((options.seed, first + number))
            found = found[np.sort(rng.choice(len(found), options.negatives, replace=False))]
        chosen.append(found[: options.negatives])
    return chosen


def _limit(positive: float, options: MineOptions) -> float:
    """The highest score that a negative may have."""
    limit = math.inf if options.max_score is None else options.max_score
    if options.margin is not None:
        limit = min(limit, positive - abs(positive) * options.margin)
    if options.absolute_margin is not None:
        limit = min(limit, positive - options.absolute_margin)
    return limit


def _best(row: Float32, count: int) -> Rows:
    """Columns of the highest finite scores, in order."""
    count = min(count, len(row))
    lowest = np.partition(row, -count)[-count]
    found = np.flatnonzero((row >= lowest) & (row > -np.inf))
    return found[np.argsort(-row[found], kind="stable")][:count]


def mine_negatives(
    records: Sequence[TrainingRecord],
    embedder: Embedder,
    corpus: Iterable[Content] = (),
    options: MineOptions | None = None,
    *,
    on_note: NoteCallback | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> MiningResult:
    """Append hard negatives to records.

    Never a negative: a positive of any record with the same query, what has the words or the sound
    of one, and what is a negative of the record already.

    Args:
        records: their positives are the candidates.
        embedder: what scores; one that reads only is given the words said in a recording.
        corpus: further candidates.
        options: what counts as a hard negative.
        on_note: called with a message for every content that cannot be embedded and is skipped;
            without it, the first one is an error.
        on_progress: told how many distinct entries of how many are embedded.

    Raises:
        InputError: an entry cannot be embedded and there is no `on_note`.
    """
    options = options or MineOptions()
    queries, candidates = _Pool(on_note), _Pool(on_note)
    asked = [queries.add(record.query, f"record {record.id!r}: query") for record in records]
    asks = [queries.key(record.query, at) for record, at in zip(records, asked, strict=True)]
    answers: dict[str, set[int]] = defaultdict(set)
    for record, key in zip(records, asks, strict=True):
        for entry in record.positives:
            at = candidates.add(entry, f"record {record.id!r}: positive")
            if at is not None:
                answers[key].add(at)
    for number, entry in enumerate(corpus, start=1):
        candidates.add(entry, f"corpus entry {number}")

    total = len(queries.entries) + len(candidates.entries)
    done = len(queries.entries)
    heard = _vectors(queries, embedder, "query", lambda count: on_progress(count, total))
    known = _vectors(
        candidates, embedder, "passage", lambda count: on_progress(done + count, total)
    )

    tasks = []
    unusable = set(np.flatnonzero(~known.any(axis=1)).tolist())
    for number, (record, query) in enumerate(zip(records, asked, strict=True)):
        positives = answers[asks[number]]
        if query is None or not heard[query].any() or not positives - unusable:
            continue
        alike = {at for positive in positives for at in candidates.alike(positive)}
        alike.update(*(candidates.like(entry) for entry in record.negatives))
        right = np.array(sorted(positives - unusable))
        tasks.append(_MiningJob(number, query, right, np.array(sorted(alike))))
    return _compare(records, tasks, heard, known, candidates.entries, options=options)


@dataclass(frozen=True, slots=True)
class _MiningJob:
    """A record to be given negatives, by its number.

    Attributes:
        query: row of the queries' vectors.
        positives: rows of the candidates' vectors.
        excluded: likewise, of what is no candidate.
    """

    record: int
    query: int
    positives: Rows
    excluded: Rows


def _compare(
    records: Sequence[TrainingRecord],
    tasks: Sequence[_MiningJob],
    heard: Float32,
    known: Float32,
    entries: Sequence[Content],
    *,
    options: MineOptions,
) -> MiningResult:
    """Score queries against all candidates, a block of queries at a time, and select."""
    mined, added = list(records), 0
    short = len(records) - len(tasks)
    positive = negative = 0.0  # sums of scores
    unusable = ~known.any(axis=1)
    size = max(1, BLOCK // max(1, len(known)))
    for start in range(0, len(tasks), size):
        block = tasks[start : start + size]
        scores = heard[[task.query for task in block]] @ known.T
        scores[:, unusable] = -np.inf
        right, out = [task.positives for task in block], [task.excluded for task in block]
        chosen = select(scores, right, out, options, start)
        for task, row, found in zip(block, scores, chosen, strict=True):
            record = mined[task.record]
            new = tuple(entries[at] for at in found)
            mined[task.record] = replace(record, negatives=(*record.negatives, *new))
            added += len(new)
            short += len(new) < options.negatives
            positive += float(row[task.positives].min())
            negative += float(row[found].sum())
    return MiningResult(
        tuple(mined),
        added,
        short,
        positive / len(tasks) if tasks else math.nan,
        negative / added if added else math.nan,
    )


def read_corpus(
    path: str | os.PathLike[str], on_note: NoteCallback | None = None
) -> Iterator[Content]:
    """Stream a file of JSON Lines, an entry a line; relative paths are taken from its folder.

    Raises:
        InputError: the file cannot be read, or a line is broken and there is no `on_note`.
    """
    folder = Path(path).parent
    for number, line in read_numbered_lines(path):
        try:
            row = json.loads(line)
            entry = parse_record({"id": "entry", "query": row, "positives": [row]}).query
        except (ValueError, InputError) as error:
            skip_or_raise(f"{path}:{number}: {error}", on_note)
            continue
        if isinstance(entry.audio, str):
            entry = replace(entry, audio=str(folder / entry.audio))
        yield entry


@dataclass(slots=True)
class _Pool:
    """Distinct entries, and where each content and each wording is among them."""

    on_note: NoteCallback | None
    entries: list[Content] = field(default_factory=list)
    owners: list[str] = field(default_factory=list)
    _at: dict[str, int] = field(default_factory=dict)
    _worded: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    _digests: dict[str, str] = field(default_factory=dict)

    def add(self, entry: Content, owner: str) -> int | None:
        """Its place; None if its recording cannot be read."""
        try:
            content = self._content(entry)
        except OSError as error:
            skip_or_raise(
                f"{owner}: {entry.audio!r} cannot be read: {error.strerror}", self.on_note
            )
            return None
        at = self._at.setdefault(content, len(self.entries))
        if at == len(self.entries):
            self.entries.append(entry)
            self.owners.append(owner)
        elif _words(entry) and not _words(self.entries[at]):
            self.entries[at] = replace(self.entries[at], transcript=entry.transcript)
        else:
            return at
        if words := _words(entry):
            self._worded[words].append(at)
        return at

    def alike(self, at: int) -> list[int]:
        """Places of what has the same words as one of the entries; itself among them."""
        words = _words(self.entries[at])
        return self._worded[words] if words else [at]

    def like(self, entry: Content) -> set[int]:
        """Places of what has the same content or the same words as any entry."""
        places = set(self._worded.get(_words(entry), ()))
        try:
            at = self._at.get(self._content(entry))
        except OSError:
            at = None
        return places if at is None else {*places, at}

    def key(self, entry: Content, at: int | None) -> str:
        """Equal for entries that ask the same: in words where they are known, else in sound."""
        return _words(entry) if at is None else _words(self.entries[at]) or f"#{at}"

    def _content(self, entry: Content) -> str:
        sound = None
        if isinstance(entry.audio, bytes):
            sound = hashlib.sha256(entry.audio).hexdigest()
        elif entry.audio is not None:
            if entry.audio not in self._digests:
                with Path(entry.audio).open("rb") as file:
                    self._digests[entry.audio] = hashlib.file_digest(file, "sha256").hexdigest()
            sound = self._digests[entry.audio]
        span = (entry.start, entry.end) if sound else ()
        return json.dumps([_folded(entry.text), sound, *span])


def _folded(text: str | None) -> str:
    """Words without regard to case and line breaks."""
    return " ".join((text or "").casefold().split())


def _words(entry: Content) -> str:
    return _folded(entry.text or entry.transcript)


def _vectors(
    pool: _Pool, embedder: Embedder, role: Role, on_progress: Callable[[int], None]
) -> Float32:
    """A unit row for each entry; zeros for one that cannot be embedded, which is told."""
    vectors = np.zeros((len(pool.entries), embedder.spec.dim), np.float32)
    for start in range(0, len(vectors), BATCH):
        places, items = [], []
        for at in range(start, min(start + BATCH, len(vectors))):
            try:
                items.append(_item(pool.entries[at], embedder.spec))
                places.append(at)
            except (InputError, EmbedderError) as error:
                skip_or_raise(
                    f"{pool.owners[at]}: {str(error).removeprefix('item 0 ')}", pool.on_note
                )
        if items:
            vectors[places] = embedder.embed(items, role)
        on_progress(min(start + BATCH, len(vectors)))
    return vectors


def _item(entry: Content, spec: EmbedderSpec) -> EmbedInput:
    """What the embedder is given of an entry.

    Raises:
        AudioError: the recording cannot be decoded.
        EmbedderError: the embedder cannot take it.
    """
    if entry.audio is None or spec.sampling_rate is None:
        item = EmbedInput(entry.text or entry.transcript)
        if item.text is None:
            raise EmbedderError(
                f"is sound without known words, and {spec.name} only reads: use an embedder that"
                " hears"
            )
    else:
        file = io.BytesIO(entry.audio) if isinstance(entry.audio, bytes) else entry.audio
        clip = load(file, spec.sampling_rate, entry.start or 0.0, entry.end)
        item = EmbedInput(entry.text, clip)
    check_inputs(spec, [item])
    return item
