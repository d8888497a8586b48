"""Pages of lists in OpenAI's format."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, Literal, TypeAlias, TypeVar

from pydantic import BaseModel

Order: TypeAlias = Literal["asc", "desc"]


class PageItem(BaseModel):
    """An element of a list."""

    id: str


S = TypeVar("S", bound=PageItem)


class Page(BaseModel, Generic[S]):
    """A page of a list; the next one begins `after` its last id."""

    object: Literal["list"] = "list"
    data: list[S]
    first_id: str | None
    last_id: str | None
    has_more: bool


def cut_page(
    shapes: Sequence[S],
    limit: int,
    order: Order = "asc",
    after: str | None = None,
    before: str | None = None,
) -> Page[S]:
    """Cut a page out of a list.

    Args:
        shapes: the elements in ascending order.
        limit: maximum number of elements of the page.
        order: `desc` to reverse the list.
        after: id of the element before the page; unknown ids are ignored.
        before: id of the element behind the page; unknown ids are ignored.
    """
    ordered = list(shapes if order == "asc" else reversed(shapes))
    ids = [shape.id for shape in ordered]
    start = ids.index(after) + 1 if after in ids else 0
    end = ids.index(before) if before in ids else len(ids)
    span = ordered[start:end]
    data = span[-limit:] if before in ids and after not in ids else span[:limit]
    return Page(
        data=data,
        first_id=data[0].id if data else None,
        last_id=data[-1].id if data else None,
        has_more=len(data) < len(span),
    )
