"""A prompt within a model's context: whole sources go before anything is cut."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from wavrag.errors import GenerationError
from wavrag.generate.base import Message
from wavrag.generate.prompts import drop_source, sources_of

logger = logging.getLogger(__name__)


def fit(
    messages: Sequence[Message],
    count: Callable[[Sequence[Message]], int],
    *,
    room: int,
    context: int,
    name: str,
) -> tuple[list[Message], int]:
    """The messages with as many sources as leave room for an answer, and their tokens.

    Sources are left out whole, with a warning in the log: the last of `sources_of` first.

    Args:
        messages: what is asked.
        count: tokens of messages as the model reads them.
        room: tokens of the longest answer.
        context: tokens of prompt and answer together.
        name: of the generator.

    Raises:
        GenerationError: the question alone does not fit.
    """
    kept = list(messages)
    dropped: list[int] = []
    while (tokens := count(kept)) + room > context:
        sources = sources_of(kept)
        if not sources:
            raise GenerationError(
                f"the question takes {tokens} tokens and its answer up to {room}, and"
                f" {name} has a context of {context}: ask a shorter question, or"
                " allow a shorter answer"
            )
        dropped.append(sources[-1].number)
        kept = drop_source(kept, dropped[-1])
    if dropped:
        logger.warning(
            "%s has a context of %d tokens: sources %s were left out",
            name,
            context,
            ", ".join(map(str, reversed(dropped))),
        )
    return kept, tokens
