"""Collections: several knowledge bases in one server, with shared models.

`/v1/collections/NAME/...` stands for `/v1/...` of one of them.
"""

from __future__ import annotations

import re
import secrets
import shutil
import threading
from pathlib import Path

from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from wavrag.access import COLLECTION, Principal
from wavrag.answer import AnswerOptions
from wavrag.closing import Closing
from wavrag.embed import Embedder, load_embedder, load_reranker
from wavrag.errors import InputError, StoreError
from wavrag.generate import Generator
from wavrag.kb import KnowledgeBase
from wavrag.rag import WavRAG
from wavrag.search import Reranker
from wavrag.server.errors import RequestError
from wavrag.server.options import ServerOptions
from wavrag.server.state import DEFAULT_COLLECTION, ServerState, SharedState
from wavrag.server.uploaded_files import UploadedFiles
from wavrag.store import FolderBlobs, FolderRecords

MAX_COLLECTIONS = 200  # each has worker threads and an open store
# In lower case, since some disks do not distinguish letters by case; no dots, hence no traversal.
NAME_PATTERN = r"[a-z0-9][a-z0-9_-]{0,62}"
# With a second /v1 from clients that add it to the address of a server.
_PATH = re.compile(rf"/v1/collections/({NAME_PATTERN})(?:/v1)?(/.+)")


class CollectionFolder(Closing):
    """A folder whose subfolders are knowledge bases; they share their models.

    Example:
        >>> folder = CollectionFolder(Path("kbs"), load_generator("extractive"))
        >>> app = create_app(folder)

    Args:
        folder: the folder.
        generator: answers the questions about all of them.
        options: see `WavRAG`.
        reranker: see `KnowledgeBase.open`.
        embedder: embedder of new collections.

    Raises:
        InputError: the folder does not exist.
    """

    def __init__(
        self,
        folder: Path,
        generator: Generator,
        options: AnswerOptions | None = None,
        *,
        reranker: Reranker | str | None = None,
        embedder: Embedder | str | None = None,
    ) -> None:
        if not folder.is_dir():
            raise InputError(f"there is no folder {folder}: create it, or name another one")
        self.folder = folder
        self._generator, self._options = generator, options
        self._reranker = load_reranker(reranker) if isinstance(reranker, str) else reranker
        self._embedder = embedder
        self._loaded: dict[str, Embedder] = {}

    def names(self) -> list[str]:
        """The names of the collections: the subfolders that are knowledge bases."""
        return sorted(
            path.parent.name
            for path in self.folder.glob("*/kb.json")
            if re.fullmatch(NAME_PATTERN, path.parent.name)
        )

    def open(self, name: str) -> WavRAG:
        """Open a collection.

        Raises:
            WavRAGError: see `KnowledgeBase.open`.
        """
        return self._open(name, None)

    def create(self, name: str) -> WavRAG:
        """Create a collection.

        Raises:
            InputError: the name is not valid or used.
            WavRAGError: see `KnowledgeBase.open`.
        """
        if not re.fullmatch(NAME_PATTERN, name):
            raise InputError(
                f"{name[:80]!r} is no name of a collection: use up to 63 lower-case letters,"
                " digits, - and _"
            )
        if (self.folder / name).exists():
            raise InputError(f"there is a collection or a file {name}: choose another name")
        return self._open(name, self._embedder)

    def delete(self, name: str) -> None:
        """Delete the folder of a collection, which is closed.

        Raises:
            StoreError: the disk refuses.
        """
        # Renamed first: one that is half deleted must not be opened at the next start.
        trash = self.folder / f".deleted-{name}-{secrets.token_hex(4)}"
        try:
            (self.folder / name).rename(trash)
            shutil.rmtree(trash)
        except OSError as error:
            reason = error.strerror or error
            raise StoreError(f"cannot delete {self.folder / name}: {reason}") from error

    def close(self) -> None:
        """Free the model of the generator."""
        self._generator.close()

    def _open(self, name: str, embedder: Embedder | str | None) -> WavRAG:
        kb = KnowledgeBase.open(
            self.folder / name, embedder=embedder, reranker=self._reranker, load=self._load
        )
        return WavRAG(kb, self._generator, self._options)

    def _load(self, name: str) -> Embedder:
        if name not in self._loaded:
            self._loaded[name] = load_embedder(name)
        return self._loaded[name]


class Collections:
    """The collections of a server while it runs.

    Args:
        source: the knowledge base, or the folder of several.
        options: access control and limits.
    """

    def __init__(self, source: WavRAG | CollectionFolder, options: ServerOptions) -> None:
        self.shared = SharedState(options)
        self.is_ready = False
        self._folder = source if isinstance(source, CollectionFolder) else None
        if isinstance(source, CollectionFolder):  # files belong to none until they are added
            folder = source.folder / ".files"
            self.files = UploadedFiles(FolderRecords(folder), FolderBlobs(folder))
        else:
            self.files = UploadedFiles(source.kb.backend.records, source.kb.backend.blobs)
        self._states: dict[str, ServerState] = {}
        self._changing = threading.Lock()
        if isinstance(source, WavRAG):
            self._states[DEFAULT_COLLECTION] = ServerState(source, self.shared)

    @property
    def has_folder(self) -> bool:
        """True if collections can be created and deleted."""
        return self._folder is not None

    @property
    def states(self) -> list[ServerState]:
        """The collections, ordered by name."""
        return [state for _, state in sorted(self._states.items())]

    def start(self) -> None:
        """Open and start all collections; idempotent.

        Raises:
            WavRAGError: one of them is not usable, or another server has it open.
        """
        if self.is_ready:
            return
        self.shared.start()
        try:
            if self._folder is not None:
                for name in self._folder.names():
                    self._add(ServerState(self._folder.open(name), self.shared, name))
            for state in self.states:
                state.start()
            self.files.start(self._prepare_incoming())
        except BaseException:
            self.stop()
            raise
        self.is_ready = True

    def stop(self) -> None:
        """Stop all collections, and close those that were opened here."""
        self.is_ready = False
        self.shared.stop()
        for state in self.states:
            state.stop()
            if self._folder is not None:
                state.rag.kb.close()

    def get(self, name: str | None, principal: Principal) -> ServerState:
        """The collection of a request.

        Args:
            name: the name in its path; None if there is none.
            principal: the sender.

        Raises:
            RequestError: there is none, or it is hidden from the sender.
        """
        if name is None and self._folder is not None:
            raise RequestError(
                404, "name a collection, /v1/collections/NAME/...: see /v1/collections"
            )
        name = name or DEFAULT_COLLECTION
        state = self._states.get(name)
        if state is None or not principal.may_enter(name):
            raise _missing(name)
        return state

    def names(self, principal: Principal) -> list[str]:
        """The names of the collections that a user may enter."""
        return [state.name for state in self.states if principal.may_enter(state.name)]

    def create(self, name: str) -> None:
        """Create and start a collection.

        Raises:
            RequestError: the server has a single knowledge base, or too many.
            InputError: the name is not valid or used.
        """
        folder = self._check_folder()
        with self._changing:
            if len(self._states) >= MAX_COLLECTIONS:
                raise RequestError(409, f"there are {MAX_COLLECTIONS} collections: delete one")
            state = ServerState(folder.create(name), self.shared, name)
            try:
                state.start()
            except BaseException:
                state.rag.kb.close()
                folder.delete(name)
                raise
            self._add(state)  # once it is ready, since requests may already be waiting for it

    def delete(self, name: str, principal: Principal) -> None:
        """Stop and delete a collection with all its documents.

        Raises:
            RequestError: there is none, or the server has a single knowledge base.
            StoreError: the disk refuses.
        """
        folder = self._check_folder()
        with self._changing:
            state = self.get(name, principal)
            del self._states[name]
            state.stop()
            state.rag.kb.close()
            folder.delete(name)

    def _add(self, state: ServerState) -> None:
        self._states = {**self._states, state.name: state}  # requests may be reading it

    def _prepare_incoming(self) -> Path:
        """The folder for uploaded files that are being received."""
        if self._folder is None:
            return self.states[0].incoming_folder
        folder = self._folder.folder / ".files" / "incoming"
        shutil.rmtree(folder, ignore_errors=True)  # left by a killed process
        folder.mkdir(parents=True)
        return folder

    def _check_folder(self) -> CollectionFolder:
        if self._folder is None:
            raise RequestError(
                409, "this server has a single knowledge base: start it with --collections FOLDER"
            )
        return self._folder


def _missing(name: str) -> RequestError:
    return RequestError(404, f"there is no collection {name[:80]}: see /v1/collections")


class CollectionMiddleware:
    """ASGI middleware that takes the name of a collection out of the path of a request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if scope["type"] in ("http", "websocket"):
            match = _PATH.fullmatch(scope["path"])
            if match is not None:
                # The same dictionary, in which the router leaves the route for metrics and logs.
                scope[COLLECTION] = match[1]
                scope["path"] = f"/v1{match[2]}"
                scope["raw_path"] = scope["path"].encode()
        await self._app(scope, receive, send)
