"""Download a published wheel on any platform, for the converters of weights."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path


def download_wheel(package: str, platform: str, sha256: str, folder: Path) -> Path:
    """Download a wheel for CPython 3.11 on one platform, whatever the platform of this machine.

    Raises:
        SystemExit: the file has another SHA-256.
    """
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder),
            *("--only-binary", ":all:", "--platform", platform, "--python-version", "3.11"),
            package,
        ],
        check=True,
    )
    [wheel] = folder.glob("*.whl")
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != sha256:
        raise SystemExit(f"{wheel.name} has the SHA-256 {digest}, not {sha256}")
    return wheel
