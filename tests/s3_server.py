"""An S3 server for tests: moto's, in a thread of this process, or the one that a user names.

`WAVRAG_TEST_S3=http://127.0.0.1:8333` runs the same tests on another server, with the credentials
of `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

BUCKET = "wavrag-test"


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections open

    def log_request(self, *_: object) -> None:
        pass


@contextmanager
def running_server(wrap: Callable[[Any], Any] = lambda app: app) -> Iterator[str]:
    """Yield the address of a server.

    Args:
        wrap: changes its WSGI application.
    """
    application = wrap(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=_Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def environment(endpoint: str) -> dict[str, str]:
    """The variables by which LanceDB and obstore find a server."""
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": os.environ.get("AWS_ACCESS_KEY_ID", "test"),
        "AWS_SECRET_ACCESS_KEY": os.environ.get("AWS_SECRET_ACCESS_KEY", "s3cret-pa55"),
        "AWS_REGION": "us-east-1",
    }


def create_bucket(endpoint: str) -> None:
    """Create the bucket of the tests; it may exist already."""
    import boto3

    variables = environment(endpoint)
    client = boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)
