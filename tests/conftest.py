"""What several test modules share."""

from __future__ import annotations

import os
import shutil
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock

from wavrag import WavRAG
from wavrag.cli import main
from wavrag.embed import Embedder, load_embedder

for kit in ("embedder", "store", "generator"):
    pytest.register_assert_rewrite(f"wavrag.testing.{kit}")

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"  # no requests to its maintainers

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each process has a core. The threads of torch wait for each other by spinning, and two
    # processes with two threads each would only take the time from each other.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# The modules that take longest, some of few tests: they run first, so that none is left at the end
# for one process while the other has nothing to do.
LONGEST = {
    *("test_cli", "test_docs", "test_experiments_runs", "test_generate_qwen2_audio"),
    *("test_server_api", "test_server_killed", "test_server_page", "test_server_views"),
    *("test_store_objects", "test_store_processes", "test_train_contrastive", "test_train_mini"),
    "test_wheel",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONGEST)


@pytest.fixture(scope="session", autouse=True)
def _configuration(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An empty configuration, also for subprocesses, in place of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAVRAG_CONFIG", str(tmp_path_factory.mktemp("configuration")))
        yield


@pytest.fixture(scope="session")
def cascade() -> Embedder:
    """The real embedder, loaded once."""
    return load_embedder("cascade")


@pytest.fixture(scope="session")
def human_reading() -> Path:
    """44 s of A Tale of Two Cities, read by a person, 48 kHz (see NOTICE)."""
    return Path(__file__).parent / "data" / "two-cities.opus"


@pytest.fixture(scope="session")
def demo_kb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The knowledge base of `wavrag demo`, indexed by one process for all; copy it to change it."""
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "demo-kb"
    with FileLock(shared / "demo-kb.lock"):
        if not folder.exists():
            assert main(["demo", "--kb", str(shared / "demo-kb-new")]) == 0
            (shared / "demo-kb-new").rename(folder)
    return folder


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A database for this process on a PostgreSQL server for all; its owner is no superuser."""
    from postgres_server import running_server

    shared = tmp_path_factory.getbasetemp()
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    with running_server(shared.parent if worker != "main" else shared, worker) as url:
        yield url


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server with an empty bucket."""
    from s3_server import create_bucket, running_server

    named = os.environ.get("WAVRAG_TEST_S3")
    with nullcontext(named) if named else running_server() as endpoint:
        create_bucket(endpoint)
        yield endpoint


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new prefix on the S3 server, whose address and credentials are in the environment."""
    from s3_server import BUCKET, environment

    for name, value in environment(s3_endpoint).items():
        monkeypatch.setenv(name, value)
    return f"s3://{BUCKET}/{uuid.uuid4().hex}"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small disk is not permitted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture(scope="module")
def rag(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WavRAG]:
    """A `WavRAG` of two small texts, for a server."""
    from serving import create_rag

    with create_rag(tmp_path_factory.mktemp("rag")) as opened:
        yield opened


@pytest.fixture(scope="module")
def url(rag: WavRAG) -> Iterator[str]:
    """The address of a server of `rag`."""
    from serving import serving

    with serving(rag) as address:
        yield address
