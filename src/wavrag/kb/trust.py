"""The user's confirmations of the embedders that knowledge bases name.

A knowledge base may come from somebody else, and its `kb.json` names its embedder. The name of a
server would make a search send it the user's questions and API key; the name of a model outside the
package would load that model. Such a name counts only if the user has given or confirmed it. This
is kept in the user's configuration, outside the knowledge base.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress

from filelock import FileLock

from wavrag import config
from wavrag.disk import write_file
from wavrag.embed import is_stored_name, needs_consent
from wavrag.errors import StoreError
from wavrag.kb.backend import Backend, open_backend
from wavrag.kb.closest import read_manifest

FILE = "trusted.json"


def resolve_embedder(backend: Backend, name: str) -> str:
    """The name by which to load the embedder that a knowledge base names.

    It may have options that only the user can set, such as the variable with the API key.

    Raises:
        StoreError: the user has not confirmed the embedder.
    """
    if not needs_consent(name):
        return name
    stored, load = _read().get(backend.key, ("", ""))
    if stored == name:
        return load
    raise StoreError(
        f"{backend.address} names the embedder {name}, which {_effect(name)}. If you trust it,"
        f" confirm it once with `wavrag kb trust --kb {backend.address}`, or open the knowledge"
        " base with its name (--embedder)"
    )


def confirm_embedder(address: str | os.PathLike[str]) -> str:
    """Confirm the embedder that a knowledge base names, for the user; return its name.

    Args:
        address: folder or URL of the knowledge base.

    Raises:
        StoreError: there is no knowledge base, the name has options that only the user can set, or
            the confirmation cannot be kept.
    """
    with open_backend(address) as backend:
        name: str = read_manifest(backend).embedder["name"]
        if not is_stored_name(name):
            raise StoreError(
                f"{backend.address} names the embedder {name}: a knowledge base must not choose the"
                " variable of an API key or other options of yours. Index its documents again"
            )
        try:
            remember_embedder(backend, name, name)
        except OSError as error:
            raise StoreError(
                f"cannot write {config.config_directory() / FILE} ({error.strerror or error}): set"
                " $WAVRAG_CONFIG to a writable folder"
            ) from error
    return name


def remember_embedder(backend: Backend, stored: str, load: str) -> None:
    """Keep the name that the user gave for the embedder of a knowledge base.

    Args:
        backend: the place of the knowledge base.
        stored: name of the embedder in the knowledge base.
        load: name for `load_embedder`, with the user's options.

    Raises:
        OSError: the configuration is not writable.
    """
    if not needs_consent(stored):
        return
    if load.startswith(("http://", "https://")) and "#" not in load:
        # The server may offer more models later.
        load = f"{load}#{stored.partition('#')[2]}"
    entries, key = _read(), backend.key
    if entries.get(key) == (stored, load):
        return
    folder = config.config_directory()
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / f".{FILE}.lock"):
        entries = _read() | {key: (stored, load)}
        write_file(folder / FILE, json.dumps(entries, indent=1).encode(), 0o600)


def _read() -> dict[str, tuple[str, str]]:
    # A damaged file confirms nothing: the user is asked again.
    with suppress(OSError, ValueError, TypeError, AttributeError):
        text = (config.config_directory() / FILE).read_text(encoding="utf-8")
        return {key: (str(stored), str(load)) for key, (stored, load) in json.loads(text).items()}
    return {}


def _effect(name: str) -> str:
    if "://" in name:
        return (
            "is a server: it would receive your questions, your documents and the key in"
            " $WAVRAG_API_KEY"
        )
    return "is a model outside the package: it would be loaded, and perhaps downloaded"
