"""Container image, compose file and Kubernetes manifests against the program that they run."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from wavrag.cli import build_parser
from wavrag.embed.fake import FakeEmbedder
from wavrag.generate import FakeGenerator
from wavrag.kb import KnowledgeBase
from wavrag.rag import WavRAG
from wavrag.server import create_app

ROOT = Path(__file__).parent.parent
KUBERNETES = ROOT / "deploy" / "kubernetes"
SERVER_PORT = 8321


def read_image() -> dict[str, str]:
    """The last value of each instruction of the final stage."""
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    starts = [at for at, line in enumerate(lines) if line.startswith("FROM ")]
    assert len(starts) == 2
    return dict(line.split(" ", 1) for line in lines[starts[-1] :] if line)


def read_compose() -> dict[str, Any]:
    composed: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return composed


def read_manifests() -> list[dict[str, Any]]:
    """The objects of all resources that kustomize applies."""
    kustomization = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text(encoding="utf-8"))
    for generator in kustomization["configMapGenerator"]:
        assert all((KUBERNETES / file).is_file() for file in generator["files"])
    return [
        manifest
        for resource in kustomization["resources"]
        for manifest in yaml.safe_load_all((KUBERNETES / resource).read_text(encoding="utf-8"))
    ]


def find_workloads() -> dict[str, dict[str, Any]]:
    """The pod of each workload, by name."""
    return {
        manifest["metadata"]["name"]: manifest["spec"]["template"]["spec"]
        for manifest in read_manifests()
        if manifest["kind"] in ("Deployment", "StatefulSet")
    }


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Paths of the server that answer without a token."""
    folder = tmp_path_factory.mktemp("kb")
    with KnowledgeBase.open(folder, embedder=FakeEmbedder()) as kb:
        app = create_app(WavRAG(kb, FakeGenerator()))
        return {path for path in app.openapi()["paths"] if not path.startswith("/v1")}


def test_the_image_runs_the_server_as_a_user_without_rights(paths: set[str]) -> None:
    image = read_image()
    user, group = image["USER"].split(":")
    assert int(user) > 0
    assert int(group) > 0
    assert json.loads(image["ENTRYPOINT"]) == ["wavrag"]
    arguments = build_parser().parse_args(json.loads(image["CMD"]))
    assert (arguments.host, arguments.port) == ("0.0.0.0", SERVER_PORT)
    assert image["EXPOSE"] == str(SERVER_PORT)
    [path] = re.findall(rf"http://127\.0\.0\.1:{SERVER_PORT}(/\w+)", image["HEALTHCHECK"])
    assert path in paths
    assert image["VOLUME"] == image["WORKDIR"] == "/data"


def test_the_image_copies_files_that_are_there() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    copied = [shlex.split(line)[1:-1] for line in re.findall(r"^COPY (?!--).*", text, re.MULTILINE)]
    names = [name for sources in copied for name in sources]
    assert names
    assert all((ROOT / name).exists() for name in names)
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {f"!{name}" for name in names if "/" not in name} <= set(allowed)


def test_compose_starts_a_server_on_a_read_only_root() -> None:
    composed = read_compose()
    server = composed["services"]["server"]
    assert server["read_only"] is True
    assert server["cap_drop"] == ["ALL"]
    assert server["tmpfs"] == ["/tmp"]
    assert server["ports"] == [f"127.0.0.1:{SERVER_PORT}:{SERVER_PORT}"]
    assert server["environment"]["WAVRAG_KB"] == "${WAVRAG_KB:-/data/kb}"
    assert set(server["depends_on"]) <= set(composed["services"])
    for service in composed["services"].values():
        build_parser().parse_args(service.get("command", ["serve"]))
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            is_file = source.startswith(".")
            assert (ROOT / source).is_file() if is_file else source in composed["volumes"]


def test_pods_of_kubernetes_run_the_image(paths: set[str]) -> None:
    pod = find_workloads()["wavrag"]
    user, group = map(int, read_image()["USER"].split(":"))
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert (pod["securityContext"]["runAsUser"], pod["securityContext"]["runAsGroup"]) == (
        user,
        group,
    )
    [container] = pod["containers"]
    arguments = build_parser().parse_args(container["args"])
    assert [port["containerPort"] for port in container["ports"]] == [arguments.port]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        request = container[probe]["httpGet"]
        assert request["path"] in paths
        assert request["port"] in [port["name"] for port in container["ports"]]


def test_workers_have_the_base_and_the_rights_of_the_server() -> None:
    workloads, services = find_workloads(), read_compose()["services"]
    pods = [workloads[name] for name in ("wavrag", "worker")]
    (server, worker), rights = [pod["containers"][0] for pod in pods], "securityContext"
    assert pods[0][rights] == pods[1][rights]
    assert server[rights] == worker[rights]
    assert all(setting in server["env"] for setting in worker["env"])
    assert build_parser().parse_args(worker["args"]).kb is None  # of WAVRAG_KB
    assert build_parser().parse_args(services["worker"]["command"]).kb is None
    assert services["worker"]["environment"].keys() < services["server"]["environment"].keys()
    for name in ("read_only", "cap_drop", "security_opt", "tmpfs", "volumes"):
        assert services["worker"][name] == services["server"][name]


def test_the_superuser_of_the_database_does_not_share_the_password() -> None:
    script = (KUBERNETES / "create-user.sh").read_text(encoding="utf-8")
    assert re.search(r"CREATE ROLE wavrag LOGIN PASSWORD :'password';", script)
    assert script.rstrip().endswith("ALTER ROLE postgres PASSWORD NULL;\nSQL")


def test_containers_of_kubernetes_have_limits_probes_and_volumes() -> None:
    workloads = find_workloads()
    claims = [
        claim["metadata"]["name"]
        for manifest in read_manifests()
        for claim in manifest.get("spec", {}).get("volumeClaimTemplates", [])
    ]
    for pod in workloads.values():
        volumes = [volume["name"] for volume in pod["volumes"]] + claims
        for container in pod["containers"]:
            assert "memory" in container["resources"]["limits"]
            if "ports" in container:  # workers have none; the queue notices if they stop
                assert {"readinessProbe", "livenessProbe"} <= set(container)
            assert all(mount["name"] in volumes for mount in container["volumeMounts"])


def test_services_of_kubernetes_select_pods_and_updates_keep_a_server() -> None:
    manifests = read_manifests()
    [update] = [m["spec"]["strategy"] for m in manifests if "strategy" in m.get("spec", {})]
    assert update["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    labels = [
        m["spec"]["template"]["metadata"]["labels"]
        for m in manifests
        if m["kind"] in ("Deployment", "StatefulSet")
    ]
    selectors = [m["spec"]["selector"] for m in manifests if m["kind"] == "Service"]
    assert len(selectors) == 2
    assert all(selector in labels for selector in selectors)
