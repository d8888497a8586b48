"""Tokens to the pieces of a text, as they are written."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_PARTIAL = "\ufffd"  # what a tokenizer shows of a character that has not all its bytes yet


class Pieces:
    """The text of one answer, token by token; it never has a stop string in it.

    What could be the beginning of a stop string, or is part of a character, is held back until the
    tokens after it tell.

    Args:
        decode: text of tokens, special ones left out.
        stop: strings that end the answer.

    Attributes:
        tokens: all that were written.
        stopped: whether the answer has come to a stop string.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self.tokens: list[int] = []
        self.stopped = False
        self._decode = decode
        self._stop = [word for word in stop if word]
        self._given = 0  # characters

    def add(self, token: int) -> str:
        """What can be given out with one more token; empty where that must wait."""
        self.tokens.append(token)
        text = self._decode(self.tokens)
        ends = [at for word in self._stop if (at := text.find(word)) >= 0]
        if ends:
            self.stopped = True
            return self._give(text, min(ends))
        text = text.rstrip(_PARTIAL)
        begun = (at for at in range(self._given, len(text)) if self._may_stop(text[at:]))
        return self._give(text, min(begun, default=len(text)))

    def rest(self) -> str:
        """What was held back, at the end of the answer."""
        text = self._decode(self.tokens)
        return "" if self.stopped else self._give(text, len(text))

    def _may_stop(self, tail: str) -> bool:
        return any(word.startswith(tail) for word in self._stop)

    def _give(self, text: str, end: int) -> str:
        given, self._given = self._given, max(self._given, end)
        return text[given : self._given]
