"""Groups of hits that say nearly the same."""

from wavrag.search import expand_similar, group_similar
from wavrag.types import Hit, Passage

MAIL = (
    "The council meets on Monday at nine in the old town hall to talk about the new ferry, the"
    " repair of the harbour wall and the budget of the library for next year."
)
# 28 of its 34 triples are in the mail: .82.
QUOTED = f"> {MAIL} I will be there with Ada."
REPLY = f"On Sunday Bo wrote: {MAIL}"
OTHER = "Dogs are allowed on the ferry if they are on a lead and stay on the lower deck."


def hits(*texts: str | None) -> list[Hit]:
    passages = [Passage(f"d{number}", 0, text) for number, text in enumerate(texts)]
    return [Hit(p, rank, 1 / rank, {"dense": 0.5}) for rank, p in enumerate(passages, 1)]


def groups(result: list[Hit]) -> list[list[str]]:
    return [[hit.passage.document_id, *(s.passage.document_id for s in hit.similar)]
            for hit in result]  # fmt: skip


def test_quotes_and_versions_are_grouped_under_the_best() -> None:
    version = MAIL.replace("Monday", "Tuesday")
    result = group_similar(hits(MAIL, OTHER, QUOTED, REPLY, version), 5)
    assert groups(result) == [["d0", "d2", "d3", "d4"], ["d1"]]
    assert [hit.rank for hit in result] == [1, 2]
    assert {similar.rank for similar in result[0].similar} == {1}


def test_a_hit_with_more_to_say_stays() -> None:
    assert groups(group_similar(hits(MAIL, f"{MAIL} {OTHER}"), 5)) == [["d0"], ["d1"]]
    # The other way round, the second says nothing new.
    assert groups(group_similar(hits(f"{MAIL} {OTHER}", MAIL), 5)) == [["d0", "d1"]]


def test_k_groups_are_filled_and_completed_from_the_hits_beyond() -> None:
    result = group_similar(hits(MAIL, QUOTED, REPLY, OTHER, "Something else.", MAIL), 2)
    assert groups(result) == [["d0", "d1", "d2", "d5"], ["d3"]]
    assert group_similar(hits(MAIL), 0) == []
    assert group_similar([], 3) == []


def test_short_texts_and_sounds() -> None:
    result = group_similar(hits("Yes!", "yes", "no", None, None, ""), 9)
    assert groups(result) == [["d0", "d1"], ["d2"], ["d3"], ["d4"], ["d5"]]


def test_groups_expand_to_the_hits_in_their_order() -> None:
    single = hits(MAIL, OTHER, QUOTED)
    assert expand_similar(group_similar(single, 5)) == single
