"""Streaming detokenization: tokens to text, with stop strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_REPLACEMENT = "\ufffd"  # decoded from a character whose last bytes are in later tokens


class StreamingDetokenizer:
    """Converts the tokens of one answer to text; stop strings are removed.

    A possible beginning of a stop string, and an incomplete character, are held back until later
    tokens decide.

    Args:
        decode: converts tokens to text, without special tokens.
        stop: strings that end the answer.

    Attributes:
        tokens: all tokens.
        stopped: True after a stop string.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str], stop: Sequence[str] = ()) -> None:
        self.tokens: list[int] = []
        self.stopped = False
        self._decode = decode
        self._stop = [word for word in stop if word]
        self._position = 0  # characters returned so far

    def add(self, token: int) -> str:
        """Add a token and return the new text; empty if it is held back."""
        self.tokens.append(token)
        # All tokens are decoded again: with byte-pair encodings, the text of a token depends on
        # the tokens before it.
        text = self._decode(self.tokens)
        ends = [index for word in self._stop if (index := text.find(word)) >= 0]
        if ends:
            self.stopped = True
            return self._emit(text, min(ends))
        text = text.rstrip(_REPLACEMENT)
        starts = range(self._position, len(text))
        possible = (s for s in starts if any(word.startswith(text[s:]) for word in self._stop))
        return self._emit(text, min(possible, default=len(text)))

    def flush(self) -> str:
        """Return the text held back, at the end of the answer."""
        text = self._decode(self.tokens)
        return "" if self.stopped else self._emit(text, len(text))

    def _emit(self, text: str, end: int) -> str:
        start, self._position = self._position, max(self._position, end)
        return text[start : self._position]
