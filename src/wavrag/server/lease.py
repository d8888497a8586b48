"""A lease, by which one server at a time serves a knowledge base in object storage.

It takes the place of a lock file: a bucket has no locks that end with a killed process.
"""

from __future__ import annotations

import json
import logging
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from wavrag.errors import StoreError
from wavrag.store import Records

logger = logging.getLogger(__name__)

LEASE_SECONDS = 60.0  # a killed server keeps others away for so long
RENEW_SECONDS = 10.0
RECORD = ("server", "lease")  # kind and key


@contextmanager
def hold_lease(records: Records) -> Iterator[None]:
    """Hold the lease of a knowledge base during a `with` block.

    Raises:
        StoreError: another server holds it.
    """
    owner = secrets.token_hex(8)

    def renew(value: bytes | None) -> bytes:
        lease = json.loads(value or b"{}")
        if lease.get("owner", owner) != owner and lease["expires"] > time.time():
            raise StoreError(
                f"another server serves {records.address}: stop it, or wait {LEASE_SECONDS:g} s if"
                " it was killed"
            )
        return json.dumps({"owner": owner, "expires": time.time() + LEASE_SECONDS}).encode()

    def release(value: bytes | None) -> bytes | None:
        return None if json.loads(value or b"{}").get("owner") == owner else value

    def keep() -> None:
        while not stop.wait(RENEW_SECONDS):
            try:
                records.update(*RECORD, renew)
            except StoreError as error:  # tried again: the network may be back in time
                logger.error("the lease of the server is not renewed: %s", error)

    stop = threading.Event()
    records.update(*RECORD, renew)
    thread = threading.Thread(target=keep, name="wavrag-lease")
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        with suppress(StoreError):  # without a network, it ends by itself
            records.update(*RECORD, release)
