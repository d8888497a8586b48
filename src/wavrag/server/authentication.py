"""Finds out who sends a request, from its bearer token."""

from __future__ import annotations

from wavrag.server.options import ServerOptions
from wavrag.server.principals import ANONYMOUS, OPERATOR, Principal
from wavrag.server.tokens import TokenFile


class Authenticator:
    """Knows the accepted tokens of a server."""

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._file = None if options.token_file is None else TokenFile(options.token_file)

    def identify(self, token: str) -> Principal | None:
        """The owner of a token; None if it is not accepted.

        Raises:
            StoreError: the file of tokens cannot be read.
        """
        if not self._options.needs_token:
            return ANONYMOUS
        if self._options.accepts(token):
            return OPERATOR
        return self._file.find(token) if self._file is not None else None
