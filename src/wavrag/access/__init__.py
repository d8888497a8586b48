"""Who may do what on a server: tokens, OpenID Connect, scopes and labels, and the audit log."""

from wavrag.access.audit import AuditLog
from wavrag.access.oidc import OidcSettings, OidcVerifier
from wavrag.access.principals import (
    ANONYMOUS,
    COLLECTION,
    DOCUMENTS,
    LOOPBACK,
    OPERATOR,
    PRINCIPAL,
    SCOPES,
    Principal,
    Scope,
    required_scope,
)
from wavrag.access.tokens import CHECK_SECONDS, TokenFile, default_token_file

__all__ = [
    "ANONYMOUS", "CHECK_SECONDS", "COLLECTION", "DOCUMENTS", "LOOPBACK", "OPERATOR", "PRINCIPAL",
    "SCOPES", "AuditLog", "OidcSettings", "OidcVerifier", "Principal", "Scope", "TokenFile",
    "default_token_file", "required_scope",
]  # fmt: skip
