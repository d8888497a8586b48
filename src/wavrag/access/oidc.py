"""OpenID Connect: bearer tokens of an identity provider, verified by its published keys.

A token is a JWT (RFC 7519) with a signature by a key of the JWKS document (RFC 7517) of the issuer.
Claims decide scope, labels and collections, as the settings say.
"""

from __future__ import annotations

import json
import logging
import threading
import time
import tomllib
import urllib.request
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wavrag.access.principals import LOOPBACK, SCOPES, Principal, Scope
from wavrag.errors import InputError, MissingExtraError
from wavrag.shapes import validation_message
from wavrag.store import check_labels

logger = logging.getLogger(__name__)

# Asymmetric ones only: with HS256, anybody could sign with the public key.
Algorithm: TypeAlias = Literal[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"
]
KEY_TYPES = frozenset({"RSA", "EC", "OKP"})
KEYS_SECONDS = 3600.0  # after which the keys are fetched again
REFETCH_SECONDS = 30.0  # between fetches for unknown keys, since anybody can send such tokens
FETCH_TIMEOUT = 5.0  # seconds
MAX_DOCUMENT_BYTES = 1 << 20
EVERYBODY = "*"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScopeClaim(_Settings):
    """Which values of a claim grant a scope; `*` stands for every valid token."""

    claim: str = "roles"  # with dots for a claim within another one
    read: list[str] = [EVERYBODY]
    write: list[str] = []
    admin: list[str] = []


class NameClaim(_Settings):
    """Which values of a claim stand for labels, or for collections."""

    claim: str = "groups"
    values: dict[str, str]


class OidcSettings(_Settings):
    """Settings of an issuer, from a TOML file."""

    issuer: str
    audience: str
    jwks: str | None = None  # URL of the keys; by default from the issuer's configuration
    algorithms: Annotated[list[Algorithm], Field(min_length=1)] = ["RS256", "ES256"]
    leeway: Annotated[float, Field(ge=0, le=300)] = 30.0  # seconds by which clocks may differ
    name_claim: str = "preferred_username"
    scopes: ScopeClaim = ScopeClaim()
    labels: NameClaim | None = None  # without it, users have no labels
    collections: NameClaim | None = None  # without it, users may enter all

    @classmethod
    def read(cls, path: Path) -> OidcSettings:
        """Read a file.

        Raises:
            InputError: it cannot be read or is not valid.
        """
        try:
            settings = cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
            raise InputError(f"--oidc {path} cannot be read ({error}): correct it") from error
        except ValidationError as error:
            reason = validation_message(error.errors(), "the file")
            raise InputError(f"--oidc {path}: {reason}") from error
        for url in filter(None, (settings.issuer, settings.jwks)):
            _check_url(url)
        if settings.labels is not None:
            check_labels(settings.labels.values.values())
        return settings


class OidcVerifier:
    """Verifies the tokens of an issuer.

    Args:
        settings: the issuer and the mapping of its claims.

    Raises:
        MissingExtraError: the extra is not installed.
    """

    def __init__(self, settings: OidcSettings) -> None:
        if find_spec("jwt") is None or find_spec("cryptography") is None:
            raise MissingExtraError("OpenID Connect", "oidc")
        self._settings = settings
        self._keys: dict[str, Mapping[str, Any]] = {}  # by id
        self._fetched: float | None = None
        self._lock = threading.Lock()

    def knows_key(self, token: str) -> bool:
        """True if a token can be verified without fetching keys."""
        return self._is_fresh and _key_id(token) in self._keys

    @property
    def _is_fresh(self) -> bool:
        return self._fetched is not None and time.monotonic() - self._fetched < KEYS_SECONDS

    def identify(self, token: str) -> Principal | None:
        """The user of a token; None if it is not valid. May fetch keys."""
        import jwt

        try:
            claims = self._verify(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            logger.info("a token was refused: %s", error)
            return None
        return self._principal(claims)

    def _verify(self, token: str) -> dict[str, Any]:
        import jwt

        algorithm = jwt.get_unverified_header(token).get("alg")
        if algorithm not in self._settings.algorithms:
            raise jwt.InvalidAlgorithmError(f"the algorithm {algorithm} is not allowed")
        key = self._find_key(_key_id(token))
        if key.get("alg", algorithm) != algorithm:
            raise jwt.InvalidAlgorithmError(f"the key is not for {algorithm}")
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(dict(key), algorithm),
            algorithms=[algorithm],
            audience=self._settings.audience,
            issuer=self._settings.issuer,
            leeway=self._settings.leeway,
            options={"require": ["exp", "iss", "aud", "sub"]},
        )
        return claims

    def _find_key(self, id: str) -> Mapping[str, Any]:
        """A key, fetched if it is unknown or old, but not more often than the limits allow."""
        keys = self._keys
        if self._is_fresh and id in keys:
            return keys[id]  # without the lock, which another thread holds while it fetches
        with self._lock:
            age = None if self._fetched is None else time.monotonic() - self._fetched
            is_due = age is None or age >= KEYS_SECONDS
            if is_due or (id not in self._keys and age is not None and age >= REFETCH_SECONDS):
                self._fetched = time.monotonic()  # also after a failure
                try:
                    self._keys = self._fetch_keys()
                except (OSError, ValueError) as error:
                    # The keys so far stay valid, or every outage of the issuer would be one here.
                    logger.warning(
                        "the keys of %s cannot be fetched: %s", self._settings.issuer, error
                    )
        if id not in self._keys:
            raise ValueError(f"the key {id[:80]!r} is unknown")
        return self._keys[id]

    def _fetch_keys(self) -> dict[str, Mapping[str, Any]]:
        url = self._settings.jwks
        if url is None:
            issuer = self._settings.issuer
            document = _fetch(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != issuer:
                raise ValueError(f"its configuration is that of {document.get('issuer')}")
            url = str(document.get("jwks_uri"))
        keys = _fetch(url).get("keys")
        if not isinstance(keys, list):
            raise ValueError(f"{url} is no JWKS document")
        return {
            str(key.get("kid", "")): key
            for key in keys
            if isinstance(key, dict)
            and key.get("kty") in KEY_TYPES
            and key.get("use", "sig") == "sig"
        }

    def _principal(self, claims: Mapping[str, Any]) -> Principal | None:
        settings = self._settings
        roles = {EVERYBODY, *_values(claims, settings.scopes.claim)}
        scopes: list[Scope] = [
            scope for scope in SCOPES if roles & set(getattr(settings.scopes, scope))
        ]
        if not scopes:
            return None
        subject = str(claims["sub"])
        return Principal(
            f"oidc:{subject}",
            str(claims.get(settings.name_claim) or subject)[:80],
            scopes[-1],
            _named(claims, settings.labels) or frozenset(),
            _named(claims, settings.collections),
            float(claims["exp"]),
        )


def _values(claims: Mapping[str, Any], path: str) -> set[str]:
    """The values of a claim: a list of texts, or a text with spaces, such as `scope`."""
    value: Any = claims.get(path)
    if value is None:
        value = claims
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
    if isinstance(value, str):
        return set(value.split())
    return {item for item in value if isinstance(item, str)} if isinstance(value, list) else set()


def _named(claims: Mapping[str, Any], claim: NameClaim | None) -> frozenset[str] | None:
    if claim is None:
        return None
    values = _values(claims, claim.claim)
    return frozenset(name for value, name in claim.values.items() if value in values)


def _key_id(token: str) -> str:
    """The id of the key in the header of a token; empty if there is none."""
    import jwt

    try:
        return str(jwt.get_unverified_header(token).get("kid", ""))
    except jwt.PyJWTError:
        return ""


def _check_url(url: str) -> None:
    address = urlsplit(url)
    is_local = address.scheme == "http" and address.hostname in LOOPBACK
    if not address.hostname or (address.scheme != "https" and not is_local):
        raise InputError(f"{url} is no https address: keys that others can change protect nothing")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments: Any) -> None:
        """Follow no redirect: it could lead from https to http."""


def _fetch(url: str) -> dict[str, Any]:
    """A JSON object.

    Raises:
        OSError: the server does not reply in time, or with an error.
        ValueError: the reply is too large, or no JSON object; the address is not allowed.
    """
    try:
        _check_url(url)
    except InputError as error:
        raise ValueError(str(error)) from error
    opener = urllib.request.build_opener(_NoRedirect)
    with opener.open(url, timeout=FETCH_TIMEOUT) as reply:
        data = reply.read(MAX_DOCUMENT_BYTES + 1)
    if len(data) > MAX_DOCUMENT_BYTES:
        raise ValueError(f"{url} is larger than {MAX_DOCUMENT_BYTES} bytes")
    document = json.loads(data)
    if not isinstance(document, dict):
        raise ValueError(f"{url} is no JSON object")
    return document
