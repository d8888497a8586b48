"""The OpenAPI description against the server: no request that it allows, or forbids, is a 5xx."""

from contextlib import suppress

import httpx
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from wavrag import WavRAG

# For each operation, of either kind; `make attack` sends thousands.
EXAMPLES = 5


def test_no_request_causes_a_server_error(url: str) -> None:
    """Requests that the description allows, and ones that break it, to every operation."""
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    tried: dict[str, int] = {}
    for result in schema.get_all_operations():
        operation = result.ok()
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
            with_this = operation.as_strategy(generation_mode=mode)

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=with_this)
            def check(case: schemathesis.Case) -> None:
                try:
                    reply = case.call()
                except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):
                    # The head of a request has 64 KiB; of a longer one the end is not read.
                    assert (
                        len(case.as_transport_kwargs(base_url=url)["url"]) + len(str(case.query))
                        > 1 << 13
                    )
                    return
                assert reply.status_code < 500, f"{case.as_curl_command()[:1000]}: {reply.text}"
                tried[case.operation.label] = tried.get(case.operation.label, 0) + 1

            with suppress(Unsatisfiable):  # nothing can break an operation without parameters
                check()
    assert len(tried) >= 16
    assert sum(tried.values()) > 200


def test_the_server_is_intact_afterwards(url: str, rag: WavRAG) -> None:
    assert httpx.get(f"{url}/readyz", trust_env=False).json() == {"ready": True}
    assert rag.kb.verify() == []
