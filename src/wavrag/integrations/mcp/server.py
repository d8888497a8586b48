"""An MCP server whose requests run with the access of their senders."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any

from mcp import MCPError
from mcp.server import MCPServer, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import (
    ResourceError,
    ResourceNotFoundError,
    ToolError,
    UnexpectedResourceError,
    UnexpectedToolError,
)
from mcp_types import (
    INVALID_PARAMS,
    CallToolResult,
    InputRequiredResult,
    ListResourcesResult,
    Resource,
    Tool,
)
from pydantic import AnyUrl
from starlette.requests import Request

from wavrag import InputError, __version__
from wavrag.integrations.mcp.access import Access
from wavrag.integrations.mcp.results import document_uri

INSTRUCTIONS = (
    "Searches and answers from the user's own recordings and documents. `search` finds passages,"
    " `ask` writes a short answer with citations, `read_document` and `transcript` read on. Cite"
    " the title and the location of a passage; times are seconds in the recording."
)
RESOURCES_PER_PAGE = 200
MAX_REQUEST_BYTES = 32 << 20  # two minutes of 16-bit stereo at 48 kHz are 31 MB in base64
LOOPBACK = "127.0.0.1"
_access: ContextVar[Access] = ContextVar("wavrag_mcp_access")


def current_access() -> Access:
    """The access of the client whose request runs."""
    return _access.get()


class AccessServer(MCPServer[Any]):
    """A server with permissions for the sender of each request.

    Args:
        open_access: returns the access of the sender of a request; its argument is None for a
            client on standard input.
    """

    def __init__(self, open_access: Callable[[Request | None], Access]) -> None:
        async def enter(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
            token = _access.set(open_access(ctx.request))
            try:
                if ctx.method == "resources/list":
                    return await _list_resources((ctx.params or {}).get("cursor"))
                return await call_next(ctx)
            finally:
                _access.reset(token)

        # `MCPServer` configures the logging of the whole process, unless there is a handler.
        placeholder = logging.NullHandler()
        logging.getLogger().addHandler(placeholder)
        super().__init__(
            "wavrag", title="WavRAG", instructions=INSTRUCTIONS, version=__version__,
            log_level="WARNING", subscriptions=False, middleware=[enter],
        )  # fmt: skip
        logging.getLogger().removeHandler(placeholder)

    async def list_tools(self) -> list[Tool]:
        """The tools that the client may use."""
        tools = await super().list_tools()
        return [tool for tool in tools if tool.name != "add" or current_access().can_add]

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """Call a tool; an expected error keeps its message."""
        try:
            return await super().call_tool(name, arguments, context)
        except UnexpectedToolError as error:
            if message := current_access().describe_error(error.__cause__):
                raise ToolError(message) from error
            raise

    async def read_resource(
        self, uri: AnyUrl | str, context: Context[Any, Any] | None = None
    ) -> Iterable[ReadResourceContents] | InputRequiredResult:
        """Read a resource; an expected error keeps its message."""
        try:
            return await super().read_resource(uri, context)
        except UnexpectedResourceError as error:
            cause = error.__cause__
            if message := current_access().describe_error(cause):
                is_input = isinstance(cause, InputError)
                raise (ResourceNotFoundError if is_input else ResourceError)(message) from error
            raise


async def _list_resources(cursor: Any) -> ListResourcesResult:
    # `MCPServer.list_resources` knows neither pages nor clients.
    access = current_access()
    if cursor is not None and not (isinstance(cursor, str) and cursor.isdecimal()):
        raise MCPError(INVALID_PARAMS, "the cursor is not one of this server: list again")
    first = int(cursor or 0)
    documents = await access.call(access.rag.documents)
    page = documents[first : first + RESOURCES_PER_PAGE]
    resources = [
        Resource(
            uri=document_uri(document.id), name=document.title or document.id,
            description=document.source, mime_type="text/plain",
        )
        for document in page
    ]  # fmt: skip
    end = first + RESOURCES_PER_PAGE
    return ListResourcesResult(
        resources=resources, next_cursor=str(end) if end < len(documents) else None
    )


def serve_http(server: AccessServer, port: int, on_start: Callable[[str], object]) -> None:
    """Serve programs of this machine over HTTP until interrupted.

    Web pages are refused by their Host and Origin headers. `wavrag serve` serves other machines.

    Args:
        server: the server.
        port: TCP port; 0 for any free one.
        on_start: called with the URL before the first request.

    Raises:
        InputError: the port is in use.
    """
    import uvicorn

    try:
        listener = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise InputError(
            f"cannot serve port {port} ({error.strerror or error}): choose another (--port)"
        ) from error
    with listener:
        # Without sessions no client can take over that of another.
        app = server.streamable_http_app(
            host=LOOPBACK, stateless_http=True, max_request_body_size=MAX_REQUEST_BYTES
        )
        on_start(f"http://{LOOPBACK}:{listener.getsockname()[1]}/mcp")
        config = uvicorn.Config(app, log_level="warning", server_header=False, proxy_headers=False)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])
