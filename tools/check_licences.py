"""Check the licences of all installed packages against a list: `make licences`.

    .venv/bin/python tools/check_licences.py

Prints every package with a licence outside the list, and fails if there is one. The list has
licences under which WavRAG, which is Apache-2.0, can be passed on together with the package.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from importlib.metadata import Distribution, distributions

ALLOWED = frozenset({
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "CNRI-Python",
    "ISC", "MIT", "MIT-0", "MIT-CMU", "PSF-2.0", "Unlicense", "Zlib",
    # Weak copyleft: only changes of the package itself have to be published.
    "LGPL-2.1-or-later", "LGPL-3.0-only", "LGPL-3.0-or-later", "MPL-2.0",
})  # fmt: skip

# Statements other than SPDX expressions, and the classifiers of the package index: the first match.
_NAMES: tuple[tuple[str, str], ...] = (
    (r"apache", "Apache-2.0"),
    (r"mozilla public license 2|mpl.?2", "MPL-2.0"),
    (r"lesser general public.*2\.1|lgpl.?2\.1|lgplv2", "LGPL-2.1-or-later"),
    (r"lesser general public.*3|lgpl.?3|lgplv3", "LGPL-3.0-or-later"),
    (r"gnu|gpl", "GPL"),
    (r"\bbsd.?2|bsd 2-clause", "BSD-2-Clause"),
    (r"\bbsd|3-clause bsd", "BSD-3-Clause"),
    (r"python software foundation|psf", "PSF-2.0"),
    (r"\bisc\b", "ISC"),
    (r"unlicense", "Unlicense"),
    (r"\bmit\b", "MIT"),
)
# Packages whose metadata name no licence; read from the licence file that they contain.
_READ = {
    "dirtyjson": "MIT OR AFL-2.1",
    "axe-playwright-python": "MIT AND MPL-2.0",  # axe-core, which it contains, is under MPL-2.0
    "pypdfium2": "Apache-2.0 AND BSD-3-Clause",  # PDFium with its libraries
}


def is_allowed(expression: str) -> bool:
    """True if the list allows an SPDX expression; one of several joined by OR is enough.

    Example:
        >>> is_allowed("MIT AND (Apache-2.0 OR GPL-3.0-only)"), is_allowed("MIT AND GPL-3.0-only")
        (True, False)
    """
    # An exception (WITH) only adds permissions.
    expression = re.sub(r"\s+WITH\s+\S+", "", expression)
    terms = re.split(r"\s+AND\s+", expression)
    return all(
        any(name.strip("() ") in ALLOWED for name in re.split(r"\s+OR\s+", term)) for term in terms
    )


def find_licence(package: Distribution) -> str:
    """The licence of a package as an SPDX expression; its statement if it is not known."""
    metadata = package.metadata
    if package.name.lower() in _READ:
        return _READ[package.name.lower()]
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [
        entry.rpartition(" :: ")[2]
        for entry in metadata.get_all("Classifier") or []
        if entry.startswith("License ::") and not entry.endswith("OSI Approved")
    ]
    statement = (metadata.get("License") or "").strip().partition("\n")[0]
    if classifiers:
        return " AND ".join(map(_normalise, classifiers))
    return statement if is_allowed(statement) else _normalise(statement)


def _normalise(statement: str) -> str:
    for pattern, name in _NAMES:
        if re.search(pattern, statement.lower()):
            return name
    return statement or "none stated"


def find_problems(packages: Iterable[Distribution]) -> list[str]:
    """Packages with licences outside the list, as `NAME: LICENCE`."""
    licences = {package.name: find_licence(package) for package in packages}
    return [
        f"{name}: {licence}"
        for name, licence in sorted(licences.items())
        if not is_allowed(licence)
    ]


def main() -> int:
    """Check the packages of this environment."""
    packages = list(distributions())
    problems = find_problems(packages)
    for problem in problems:
        print(problem)
    if problems:
        print("read the licence, then replace the package or extend tools/check_licences.py")
    else:
        print(f"licences of {len(packages)} packages are on the list")
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
