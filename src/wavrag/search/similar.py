"""Group hits that say nearly the same: quoted e-mails, versions of a document."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

from wavrag.types import Hit

# Share of the word triples of a hit that occur in a better one: containment (Broder 1997, "On the
# resemblance and containment of documents"). A reply may add a line to the e-mail that it quotes.
MIN_SHARE = 0.8
LOOK_AHEAD = 10  # hits beyond k that are compared with the first k
_WORD = re.compile(r"\w+")


def group_similar(hits: Sequence[Hit], k: int) -> list[Hit]:
    """Return the best k hits; those that say little beyond a better hit are its `similar` ones.

    Hits without text, such as sounds, are never grouped.

    Args:
        hits: best first.
        k: number of groups.
    """
    best: list[Hit] = []
    groups: list[list[Hit]] = []
    index: defaultdict[tuple[str, ...], list[int]] = defaultdict(list)  # hits with each triple
    for position, hit in enumerate(hits):
        if len(best) == k and position >= k + LOOK_AHEAD:
            break
        triples = word_triples(hit.passage.text or "")
        shared = Counter(number for triple in triples for number in index.get(triple, ()))
        matches = [number for number, count in shared.items() if count >= MIN_SHARE * len(triples)]
        if matches:
            groups[min(matches)].append(hit)
        elif len(best) < k:
            for triple in triples:
                index[triple].append(len(best))
            best.append(hit)
            groups.append([])
    return [
        replace(hit, rank=rank, similar=tuple(replace(member, rank=rank) for member in group))
        for rank, (hit, group) in enumerate(zip(best, groups, strict=True), 1)
    ]


def expand_similar(hits: Iterable[Hit]) -> list[Hit]:
    """Return all hits of groups one by one, best first, ties by passage id."""
    single = [replace(hit, similar=()) for group in hits for hit in (group, *group.similar)]
    single.sort(key=lambda hit: (-hit.score, hit.passage.id))
    return [replace(hit, rank=rank) for rank, hit in enumerate(single, 1)]


def word_triples(text: str) -> set[tuple[str, ...]]:
    """Three adjacent words each, regardless of case; a shorter text is a single tuple."""
    words = _WORD.findall(text.casefold())
    if len(words) < 3:
        return {tuple(words)} if words else set()
    return set(zip(words, words[1:], words[2:], strict=False))
