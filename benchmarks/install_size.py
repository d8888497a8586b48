"""Size of the base install: what `pip install wavrag` puts into site-packages.

    python benchmarks/install_size.py [--json] [--latest]

Makes a fresh virtual environment, installs the repository without extras at the versions of
constraints.txt (or the latest ones), and adds up the files of every distribution but pip and
setuptools, compiled Python files included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
LIST = """
import importlib.metadata as m, json, os
sizes = {}
for d in m.distributions():
    paths = {os.path.realpath(d.locate_file(f)) for f in d.files or ()}
    sizes[d.name] = sum(os.path.getsize(p) for p in paths if os.path.isfile(p))
print(json.dumps(sizes))
"""


def measure(latest: bool) -> dict[str, int]:
    """Bytes of each distribution in a fresh base install."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(ROOT)]
        if not latest:
            install += ["-c", str(ROOT / "constraints.txt")]
        subprocess.run(install, check=True)
        listed = subprocess.run([python, "-c", LIST], check=True, capture_output=True, text=True)
    sizes: dict[str, int] = json.loads(listed.stdout)
    for name in ("pip", "setuptools"):
        sizes.pop(name, None)
    return sizes


def main() -> None:
    """Print a line for each distribution above 1 MB, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latest", action="store_true", help="latest versions, not constraints")
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    sizes = measure(arguments.latest)
    total = sum(sizes.values())
    if arguments.json:
        print(json.dumps({"bytes": total, "distributions": sizes}, indent=2))
        return
    for name, size in sorted(sizes.items(), key=lambda pair: -pair[1]):
        if size > 1e6:
            print(f"{size / 1e6:7.1f} MB  {name}")
    print(f"{total / 1e6:7.1f} MB  in all ({len(sizes)} distributions)")


if __name__ == "__main__":
    main()
