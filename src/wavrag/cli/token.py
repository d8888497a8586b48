"""`wavrag token`: creates, lists and revokes the tokens of a server."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wavrag.cli.command import Command
from wavrag.cli.options import JSON, TOKENS, Option
from wavrag.cli.output import note, print_json

if TYPE_CHECKING:
    from wavrag.server import TokenFile


def _open(arguments: argparse.Namespace) -> TokenFile:
    from wavrag.server import TokenFile, default_token_file

    return TokenFile(Path(arguments.tokens) if arguments.tokens else default_token_file())


def create(arguments: argparse.Namespace) -> int:
    """Create a token and print it."""
    tokens = _open(arguments)
    token = tokens.create(
        arguments.name,
        arguments.scope,
        labels=arguments.label,
        collections=arguments.collection or None,
        days=arguments.expires,
    )
    note(f"only its hash is kept in {tokens.path}: copy it now")
    print(token)
    return 0


def list_tokens(arguments: argparse.Namespace) -> int:
    """Print the tokens without their secrets."""
    tokens = _open(arguments).read()
    if arguments.json:
        print_json([token.model_dump(exclude={"sha256"}) for token in tokens])
        return 0
    for token in tokens:
        labels = "all documents" if token.scope == "admin" else ", ".join(token.labels)
        expires = "never expires"
        if token.expires is not None:
            verb = "expired" if token.has_expired else "expires"
            expires = f"{verb} {datetime.fromtimestamp(token.expires, UTC):%Y-%m-%d}"
        collections = "all" if token.collections is None else ", ".join(token.collections)
        print(
            f"{token.name}: {token.scope}; labels: {labels or 'none'}; collections: {collections};"
            f" {expires}"
        )
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Delete a token."""
    _open(arguments).revoke(arguments.name)
    return 0


COMMAND = Command(
    "token",
    "create, list and revoke the tokens of a server",
    examples=(
        "wavrag token create --name ada --scope read --label hr",
        "wavrag token list",
        "wavrag token revoke --name ada",
    ),
    details="A running server follows the changes of the file.",
    subcommands={"commands": (
        Command("create", "create a token and print it, once", create,
            (Option("--name", "NAME", "name of its owner, unique", required=True),
                Option("--scope", help="read: search, ask and read; write: also add, correct and"
                    " remove documents; admin: everything, whatever the labels of a document",
                    choices=("read", "write", "admin"), default="read"),
                Option("--label", "LABEL", "access label: it sees documents with one of its labels,"
                    " and those without any", repeat=True),
                Option("--collection", "NAME", "collection that it may use", repeat=True,
                    unset="all"),
                Option("--expires", "DAYS", "time until it expires", unset="never", minimum=0.0),
                TOKENS),
            ("wavrag token create --name ada --label hr --label legal --expires 90",
                "wavrag token create --name importer --scope write --collection talks",
                "wavrag token create --name operator --scope admin")),
        Command("list", "list the tokens, without their secrets", list_tokens, (TOKENS, JSON),
            ("wavrag token list", "wavrag token list --json")),
        Command("revoke", "delete a token", revoke,
            (Option("--name", "NAME", "name of its owner", required=True), TOKENS),
            ("wavrag token revoke --name ada",
                "wavrag token revoke --name ada --tokens tokens.json")),
    )},
)  # fmt: skip
