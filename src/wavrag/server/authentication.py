"""Finds out who sends a request, from its bearer token."""

from __future__ import annotations

from anyio import CapacityLimiter, to_thread

from wavrag.access import ANONYMOUS, OPERATOR, OidcSettings, OidcVerifier, Principal, TokenFile
from wavrag.server.options import ServerOptions

FETCHES = 4  # threads for tokens whose keys have to be fetched


class Authenticator:
    """Knows the accepted tokens of a server.

    Raises:
        InputError: the settings of OpenID Connect are not valid.
        MissingExtraError: an extra is not installed.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._options = options
        self._file = None if options.token_file is None else TokenFile(options.token_file)
        path = options.oidc_file
        self._verifier = None if path is None else OidcVerifier(OidcSettings.read(path))
        self._limiter: CapacityLimiter | None = None

    async def identify(self, token: str) -> Principal | None:
        """The owner of a token; None if it is not accepted.

        Raises:
            StoreError: the file of tokens cannot be read.
        """
        if not self._options.needs_token:
            return ANONYMOUS
        if self._options.accepts(token):
            return OPERATOR
        principal = None if self._file is None else self._file.find(token)
        if principal is None and self._verifier is not None and token.count(".") == 2:
            # Waits on a thread only for unknown keys, so that those who send them delay no others.
            if self._verifier.knows_key(token):
                return self._verifier.identify(token)
            self._limiter = self._limiter or CapacityLimiter(FETCHES)
            return await to_thread.run_sync(self._verifier.identify, token, limiter=self._limiter)
        return principal
