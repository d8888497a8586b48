"""Objects in S3, Google Cloud Storage or Azure, through the library that LanceDB uses as well.

Credentials, region and endpoint come from the environment variables of each of them:
`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`, `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME`, ...
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from wavrag.errors import MissingExtraError, StoreError

if TYPE_CHECKING:
    from obstore.store import ObjectStore

OBJECT_SCHEMES = ("s3", "gs", "az")
RETRIES = 4
RETRY_SECONDS = 20  # obstore's 180 s would let a command with a wrong address hang


def open_objects(url: str) -> ObjectStore:
    """Open the objects below a prefix of a bucket; paths are relative to it.

    Args:
        url: `s3://BUCKET/PREFIX`, `gs://...` or `az://...`.

    Raises:
        MissingExtraError: obstore is not installed.
        StoreError: the URL is not valid.
    """
    try:
        from obstore.exceptions import BaseError
        from obstore.store import from_url
    except ImportError as error:
        raise MissingExtraError("object storage", "s3") from error
    try:
        return from_url(
            url,
            client_options={"allow_http": allows_http(url)},
            retry_config={
                "max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)
            },
        )  # fmt: skip
    except (BaseError, ValueError) as error:
        raise StoreError(f"{url}: {_first_line(error)}: write s3://BUCKET/PREFIX") from error


def allows_http(url: str) -> bool:
    """True if the user names an endpoint by which keys and data travel unencrypted."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT") or ""
    return url.startswith("s3:") and endpoint.startswith("http:")


@contextmanager
def object_errors(address: str) -> Iterator[None]:
    """Turn errors of object storage into `StoreError`, in one line and with a remedy.

    A missing object stays a `FileNotFoundError`.
    """
    from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except FileNotFoundError:
        raise
    except (PermissionDeniedError, UnauthenticatedError) as error:
        raise StoreError(
            f"{address}: permission denied: check the credentials (AWS_ACCESS_KEY_ID and"
            " AWS_SECRET_ACCESS_KEY, or those of the other service) and the policy of the bucket"
        ) from error
    except BaseError as error:
        raise StoreError(
            f"{address}: {_first_line(error)}: check the name of the bucket, the network and"
            " AWS_ENDPOINT_URL"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].rstrip(": ")
