"""Tokens of an OpenID Connect issuer: a local one, with real keys over real HTTP."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from serving import OPTIONS, client, create_rag, serving
from wavrag import Document
from wavrag.access import OidcSettings, OidcVerifier, oidc
from wavrag.errors import InputError

RSA = rsa.generate_private_key(65537, 2048)
OTHER_RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())


class Issuer:
    """An identity provider that publishes keys and signs tokens."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = [jwk("rsa", RSA), jwk("ec", EC)]
        self.fetches = 0
        self.is_down = False
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                document: dict[str, Any] = {"keys": issuer.keys}
                if self.path == "/.well-known/openid-configuration":
                    document = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
                else:
                    issuer.fetches += 1
                self.send_response(503 if issuer.is_down else 200)
                self.end_headers()
                self.wfile.write(json.dumps(document).encode())

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def claims(self, **changes: Any) -> dict[str, Any]:
        now = time.time()
        claims = {
            "iss": self.url, "aud": "wavrag", "sub": "u1", "exp": now + 600, "iat": now,
            "preferred_username": "ada", "realm": {"roles": ["writers"]}, "groups": ["/hr", "/x"],
        }  # fmt: skip
        return {key: value for key, value in (claims | changes).items() if value is not None}

    def token(self, key: Any = RSA, kid: str = "rsa", alg: str = "RS256", **changes: Any) -> str:
        return jwt.encode(self.claims(**changes), key, alg, headers={"kid": kid})


def jwk(kid: str, key: Any, **fields: str) -> dict[str, Any]:
    kind = jwt.algorithms.RSAAlgorithm if hasattr(key, "private_numbers") and isinstance(
        key, rsa.RSAPrivateKey
    ) else jwt.algorithms.ECAlgorithm  # fmt: skip
    return {**kind.to_jwk(key.public_key(), as_dict=True), "kid": kid, **fields}


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    thread = threading.Thread(target=issuer.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield issuer
    issuer.server.shutdown()
    issuer.server.server_close()
    thread.join()


@pytest.fixture
def settings(issuer: Issuer, tmp_path: Path) -> Path:
    path = tmp_path / "oidc.toml"
    path.write_text(
        f"""
        issuer = "{issuer.url}"
        audience = "wavrag"
        leeway = 5
        scopes = {{claim = "realm.roles", read = ["*"], write = ["writers"], admin = ["chiefs"]}}
        labels = {{claim = "groups", values = {{"/hr" = "hr", "/law" = "legal"}}}}
        """
    )
    return path


@pytest.fixture
def verifier(settings: Path) -> OidcVerifier:
    return OidcVerifier(OidcSettings.read(settings))


def test_claims_become_a_user(issuer: Issuer, verifier: OidcVerifier) -> None:
    for token in (issuer.token(), issuer.token(EC, "ec", "ES256")):
        principal = verifier.identify(token)
        assert principal is not None
        assert (principal.id, principal.name) == ("oidc:u1", "ada")
        assert (principal.scope, principal.labels) == ("write", {"hr"})
        assert principal.collections is None
    assert issuer.fetches == 1
    for roles, scope in ((["chiefs", "writers"], "admin"), ([], "read"), (None, "read")):
        principal = verifier.identify(issuer.token(realm={"roles": roles}, groups="/law /hr"))
        assert principal is not None
        assert (principal.scope, principal.labels) == (scope, {"hr", "legal"})


def test_tokens_of_others_are_refused(issuer: Issuer, verifier: OidcVerifier) -> None:
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    now = time.time()
    unsigned = jwt.encode(issuer.claims(), None, "none", headers={"kid": "rsa"})
    head, _, signature = issuer.token().split(".")
    changed = base64.urlsafe_b64encode(json.dumps(issuer.claims(sub="root")).encode())
    # What a library without checks would accept: the public key as the secret of HS256.
    confused = jwt.api_jws.PyJWS(["HS256"])
    confused._algorithms["HS256"].prepare_key = lambda key: key  # type: ignore[union-attr]
    hs256 = confused.encode(json.dumps(issuer.claims()).encode(), public, "HS256", {"kid": "rsa"})
    refused = {
        "expired": issuer.token(exp=now - 10), "early": issuer.token(nbf=now + 60),
        "audience": issuer.token(aud="other"), "issuer": issuer.token(iss="https://evil.example"),
        "no expiry": issuer.token(exp=None), "no subject": issuer.token(sub=None),
        "no audience": issuer.token(aud=None), "other key": issuer.token(OTHER_RSA),
        "unsigned": unsigned, "hmac": hs256, "changed": f"{head}.{changed.decode()}.{signature}",
        "algorithm": issuer.token(alg="RS512"), "wrong key": issuer.token(kid="ec"),
        "garbage": "a.b.c",
    }  # fmt: skip
    assert verifier.identify(issuer.token()) is not None
    for name, token in refused.items():
        assert verifier.identify(token) is None, name
    # Within the tolerance for clocks.
    assert verifier.identify(issuer.token(exp=now - 2)) is not None


def test_keys_are_exchanged_but_rarely_fetched(
    issuer: Issuer, verifier: OidcVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = issuer.token()
    assert verifier.identify(old) is not None
    issuer.keys = [
        jwk("new", OTHER_RSA),
        jwk("enc", EC, use="enc"),
        jwk("limited", EC, alg="ES384"),
    ]
    for number in range(20):
        assert verifier.identify(issuer.token(OTHER_RSA, f"unknown-{number}")) is None
    assert issuer.fetches == 1
    monkeypatch.setattr(oidc, "REFETCH_SECONDS", 0.0)
    assert verifier.identify(issuer.token(OTHER_RSA, "new")) is not None
    assert issuer.fetches == 2
    assert verifier.knows_key(issuer.token(OTHER_RSA, "new"))
    assert verifier.identify(old) is None
    assert verifier.identify(issuer.token(EC, "enc", "ES256")) is None
    assert verifier.identify(issuer.token(EC, "limited", "ES256")) is None
    issuer.is_down = True
    assert verifier.identify(issuer.token(OTHER_RSA, "unknown")) is None
    assert verifier.identify(issuer.token(OTHER_RSA, "new")) is not None


def test_known_keys_do_not_wait_for_a_fetch(
    issuer: Issuer, verifier: OidcVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Such tokens are verified in the event loop, which an unknown key must not block.
    assert verifier.identify(issuer.token()) is not None
    monkeypatch.setattr(oidc, "REFETCH_SECONDS", 0.0)
    is_fetching, verified = threading.Event(), threading.Event()

    def fetch(url: str) -> dict[str, Any]:
        is_fetching.set()
        assert verified.wait(20)
        return {"keys": issuer.keys}

    monkeypatch.setattr(oidc, "_fetch", fetch)
    unknown = issuer.token(OTHER_RSA, "unknown")
    thread = threading.Thread(target=verifier.identify, args=(unknown,))
    thread.start()
    assert is_fetching.wait(20)
    assert verifier.identify(issuer.token()) is not None
    verified.set()
    thread.join()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("issuer = 'http://id.example.org'\naudience = 'a'", "no https address"),
        ("issuer = 'https://id.example.org'", "audience"),
        ("issuer = 'https://id.example.org'\naudience = 'a'\nalgorithms = ['HS256']", "algorithms"),
        ("issuer = 'https://id.example.org'\naudience = 'a'\nscope = 'x'", "scope"),
        ("issuer = ", "cannot be read"),
        (
            "issuer = 'https://id.example.org'\naudience = 'a'\nlabels = {values = {a = 'B'}}",
            "no access label",
        ),
    ],
)
def test_settings_that_are_not_valid_are_refused(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "oidc.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=reason):
        OidcSettings.read(path)


def test_a_server_accepts_tokens_of_an_issuer(
    issuer: Issuer, settings: Path, tmp_path: Path
) -> None:
    options = replace(OPTIONS, oidc_file=settings)
    with create_rag(tmp_path) as rag:
        rag.kb.add([
            Document(label, text="Secret.", metadata={"access": label}) for label in ("hr", "law")
        ])  # fmt: skip
        with serving(rag, options) as url, client(url) as http:
            headers = {"authorization": f"Bearer {issuer.token()}"}
            assert http.get("/v1/documents", headers=headers).json()["total"] == 3
            assert http.get("/v1/documents/law", headers=headers).status_code == 404
            assert http.get("/metrics", headers=headers).status_code == 403
            for token in (issuer.token(exp=time.time() - 60), issuer.token(aud="x"), "a.b.c"):
                headers = {"authorization": f"Bearer {token}"}
                assert http.get("/v1/documents", headers=headers).status_code == 401
