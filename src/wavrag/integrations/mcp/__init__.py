"""Server of the Model Context Protocol over a `WavRAG`, for agents and chat programs.

Needs `wavrag[mcp]`.
"""

from importlib.util import find_spec

from wavrag import MissingExtraError

if find_spec("mcp") is None:
    raise MissingExtraError("the MCP server", "mcp")

from wavrag.integrations.mcp.access import Access, Report
from wavrag.integrations.mcp.results import AddResult
from wavrag.integrations.mcp.server import AccessServer, serve_http
from wavrag.integrations.mcp.tools import create_mcp_server

__all__ = ["Access", "AccessServer", "AddResult", "Report", "create_mcp_server", "serve_http"]
