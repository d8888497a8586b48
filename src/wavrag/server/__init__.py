"""HTTP and WebSocket server over a `WavRAG`, with a web page.

`create_app` creates the application, `serve` runs it. Needs `wavrag[server]`.
"""

from importlib.util import find_spec

from wavrag.errors import MissingExtraError

if any(find_spec(name) is None for name in ("fastapi", "prometheus_client", "python_multipart")):
    raise MissingExtraError("the server", "server")

from wavrag.access import SCOPES, Scope, TokenFile, default_token_file
from wavrag.server.app import create_app
from wavrag.server.collections import CollectionFolder
from wavrag.server.job_service import WorkerTimes
from wavrag.server.options import ServerOptions
from wavrag.server.run import check_host, serve
from wavrag.server.worker_process import run_worker

__all__ = [
    "SCOPES", "CollectionFolder", "Scope", "ServerOptions", "TokenFile", "WorkerTimes",
    "check_host", "create_app", "default_token_file", "run_worker", "serve",
]  # fmt: skip
