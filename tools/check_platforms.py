"""Print where WavRAG installs, and beside which packages, as two Markdown tables.

    python tools/check_platforms.py [--python-version 3.12] [--find-links FOLDER]

Nothing is installed: uv resolves the base install and the extra `server` for each platform, from
wheels alone, within the bounds of pyproject.toml. Where that fails, every dependency is resolved by
itself, to name the ones without a wheel. Packages that people use beside WavRAG are resolved
together with `wavrag[server]`, at their newest version. docs/install.md has the output.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parent.parent
# Name, and platform as uv calls it, with the oldest macOS.
PLATFORMS = (
    ("Linux x86-64, glibc 2.28 (RHEL 8)", "x86_64-manylinux_2_28"),
    ("Linux aarch64, glibc 2.28", "aarch64-manylinux_2_28"),
    ("Linux x86-64, glibc 2.31 (Debian 11)", "x86_64-manylinux_2_31"),
    ("Linux x86-64, musl (Alpine)", "x86_64-unknown-linux-musl"),
    ("macOS 13, arm64", "aarch64-apple-darwin"),
    ("macOS 13, x86-64", "x86_64-apple-darwin"),
    ("Windows x86-64", "x86_64-pc-windows-msvc"),
)
NEIGHBOURS = (
    *("pipecat-ai", "openai-agents", "docling", "gradio", "langchain", "llama-index-core"),
    *("haystack-ai", "livekit-agents"),
)


class Resolver:
    """Resolves requirements with uv.

    Attributes:
        options: options of every call.
    """

    def __init__(self, options: Sequence[str]) -> None:
        self.options = options

    def resolve(self, requirements: Sequence[str], *options: str) -> dict[str, str] | None:
        """Resolve requirements; return the version of each package, or None without a solution."""
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder, "requirements.in")
            source.write_text("\n".join(requirements), encoding="utf-8")
            command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--no-annotate"]
            # Without `--python`, uv asks every interpreter on this machine for its version.
            command += ["--no-header", "--python", sys.executable]
            command += [*self.options, *options, str(source)]
            environment = os.environ | {"MACOSX_DEPLOYMENT_TARGET": "13.0"}
            done = subprocess.run(
                command, env=environment, capture_output=True, text=True, check=False
            )
        if done.returncode:
            if "No solution found" not in done.stderr:
                raise SystemExit(done.stderr)
            return None
        lines = (re.match(r"([A-Za-z0-9._-]+)==(\S+)", line) for line in done.stdout.splitlines())
        return {line[1].lower(): line[2] for line in lines if line}


def read_requirements() -> tuple[list[str], list[str]]:
    """Read the requirements of the base install and of the extra `server`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return project["dependencies"], project["optional-dependencies"]["server"]


def check_platform(resolver: Resolver, requirements: Sequence[str], platform: str) -> str:
    """Say that requirements resolve for a platform, or which ones have no wheel."""
    options = "--python-platform", platform, "--only-binary", ":all:"
    if resolver.resolve(requirements, *options) is not None:
        return "yes"
    missing = [one for one in requirements if resolver.resolve([one], *options) is None]
    return f"no: {', '.join(missing) or 'only together'}"


def check_neighbour(resolver: Resolver, requirements: Sequence[str], name: str) -> str:
    """Say whether a package's newest version resolves together with requirements."""
    newest = resolver.resolve([name], "--no-deps")
    if newest is None:
        return "not found"
    together = resolver.resolve([*requirements, f"{name}=={newest[name]}"])
    if together is not None:
        return f"{newest[name]}: yes"
    conflicts = [
        one for one in requirements if resolver.resolve([one, f"{name}=={newest[name]}"]) is None
    ]
    older = resolver.resolve([*requirements, name])
    version = f"; {older[name]} resolves" if older else ""
    return f"{newest[name]}: no: {', '.join(conflicts) or 'only together'}{version}"


def main(argv: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python-version", default="3.12")
    parser.add_argument("--find-links", metavar="FOLDER", help="folder with further wheels")
    arguments = parser.parse_args(argv)
    options = ["--python-version", arguments.python_version]
    if arguments.find_links:
        options += ["--find-links", arguments.find_links]
    resolver = Resolver(options)
    base, server = read_requirements()
    print(f"| platform, Python {arguments.python_version} | `wavrag` | `wavrag[server]` |")
    print("|---|---|---|")
    for name, platform in PLATFORMS:
        answers = [check_platform(resolver, r, platform) for r in (base, base + server)]
        print(f"| {name} | {' | '.join(answers)} |", flush=True)
    print("\n| package | with `wavrag[server]` |\n|---|---|")
    for name in NEIGHBOURS:
        print(f"| {name} | {check_neighbour(resolver, base + server, name)} |", flush=True)


if __name__ == "__main__":
    main()
