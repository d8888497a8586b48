"""Licences of dependencies, and their versions with hashes."""

import re
from email.message import Message
from pathlib import Path

import pytest

from tools.check_licences import find_licence, is_allowed

ROOT = Path(__file__).parent.parent


class Package:
    """A package with metadata."""

    name = "package"

    def __init__(self, **fields: str | list[str]) -> None:
        self.metadata = Message()
        for key, values in fields.items():
            for value in [values] if isinstance(values, str) else values:
                self.metadata[key.replace("_", "-")] = value


@pytest.mark.parametrize(
    ("fields", "licence", "allowed"),
    [
        ({"License_Expression": "MIT"}, "MIT", True),
        ({"License_Expression": "GPL-3.0-only"}, "GPL-3.0-only", False),
        ({"License_Expression": "MIT AND GPL-3.0-only"}, "MIT AND GPL-3.0-only", False),
        ({"License_Expression": "(MIT OR GPL-3.0-only)"}, "(MIT OR GPL-3.0-only)", True),
        (
            {"License_Expression": "Apache-2.0 WITH LLVM-exception"},
            "Apache-2.0 WITH LLVM-exception",
            True,
        ),
        ({"License": "BSD 3-Clause License"}, "BSD-3-Clause", True),
        ({"License": "Apache License, Version 2.0"}, "Apache-2.0", True),
        (
            {"Classifier": "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"},
            "GPL",
            False,
        ),
        (
            {
                "Classifier": [
                    "License :: OSI Approved :: MIT License",
                    "License :: OSI Approved :: GNU Affero General Public License v3",
                ]
            },
            "MIT AND GPL",
            False,
        ),
        ({"License": "MIT", "Classifier": "License :: OSI Approved"}, "MIT", True),
        ({"License": "see our web page"}, "see our web page", False),
        ({}, "none stated", False),
    ],
)
def test_licences(fields: dict[str, str], licence: str, allowed: bool) -> None:
    found = find_licence(Package(**fields))  # type: ignore[arg-type]
    assert (found, is_allowed(found)) == (licence, allowed)


def read_versions(name: str) -> dict[str, str]:
    """Versions without the local part, such as `+cpu`, by package."""
    pattern = re.compile(r"^([\w.-]+)==([^\s+]+)", re.MULTILINE)
    text = (ROOT / name).read_text(encoding="utf-8")
    return {
        package.lower().replace("_", "-"): version for package, version in pattern.findall(text)
    }


@pytest.mark.parametrize(
    ("name", "size"),
    [("constraints.lock", 100), ("deploy/server.lock", 50), ("deploy/build.lock", 5)],
)
def test_a_lock_has_the_versions_of_the_constraints_with_hashes(name: str, size: int) -> None:
    constraints, lock = read_versions("constraints.txt"), read_versions(name)
    assert len(lock) >= size
    assert lock.items() <= constraints.items(), "run `make lock`"
    text = (ROOT / name).read_text(encoding="utf-8")
    requirements = text.replace("\\\n", " ").splitlines()
    assert all(" --hash=sha256:" in line for line in requirements)
    assert "://" not in text
