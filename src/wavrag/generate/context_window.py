"""Fitting a prompt into the context window of a model: whole sources are dropped, never cut."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from wavrag.errors import GenerationError
from wavrag.generate.base import Message
from wavrag.generate.prompts import replace_sources, sources_of

logger = logging.getLogger(__name__)


def fit_context_window(
    messages: Sequence[Message],
    count_tokens: Callable[[Sequence[Message]], int],
    *,
    answer_tokens: int,
    context: int,
    name: str,
) -> tuple[list[Message], int]:
    """Drop sources until prompt and answer fit, the lowest rank first, with a warning in the log.

    Args:
        messages: the prompt.
        count_tokens: counts the tokens of messages under the model's chat template.
        answer_tokens: maximum length of the answer.
        context: size of the context window in tokens.
        name: name of the generator, for messages.

    Returns:
        The messages and their number of tokens.

    Raises:
        GenerationError: the question alone does not fit.
    """
    prompt = list(messages)
    dropped_numbers: list[int] = []
    while (tokens := count_tokens(prompt)) + answer_tokens > context:
        sources = sources_of(prompt)
        if not sources:
            raise GenerationError(
                f"the question takes {tokens} tokens and its answer up to {answer_tokens}, and"
                f" {name} has a context of {context}: ask a shorter question, or"
                " allow a shorter answer"
            )
        dropped = sources[-1].number
        prompt = replace_sources(prompt, [source for source in sources if source.number != dropped])
        dropped_numbers.append(dropped)
    if dropped_numbers:
        logger.warning(
            "%s has a context of %d tokens: sources %s were left out",
            name,
            context,
            ", ".join(map(str, reversed(dropped_numbers))),
        )
    return prompt, tokens
