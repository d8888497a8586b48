"""Size of the base install: the files of `pip install wavrag` in site-packages.

    python benchmarks/install_size.py [--json] [--latest]

Prints every distribution above 1 MB, and the total. The repository is installed without extras into
a new virtual environment, at the versions of constraints.txt (`--latest`: the latest versions). The
sizes include compiled Python files, and exclude pip and setuptools.
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
    """Measure the size of each distribution in a new base install, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        python = str(Path(folder, "bin", "python"))
        install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", str(ROOT)]
        if not latest:
            install += ["-c", str(ROOT / "constraints.txt")]
        subprocess.run(install, check=True)
        output = subprocess.run([python, "-c", LIST], check=True, capture_output=True, text=True)
    sizes: dict[str, int] = json.loads(output.stdout)
    for name in ("pip", "setuptools"):
        sizes.pop(name, None)
    return sizes


def main() -> None:
    """Run the benchmark and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--latest",
        action="store_true",
        help="install the latest versions instead of constraints.txt",
    )
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
