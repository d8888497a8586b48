"""Run all attacks at sizes that fit in 15 minutes, and print one table.

    python benchmarks/attack/run.py
    python benchmarks/attack/run.py --only kills damage

Each harness prints its own figures and exits with 1 for a fault. Their defaults are larger.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

ATTACKS = {
    "kills": ["--index", "20", "--serve", "5"],
    "writers": ["--minutes", "1"],
    "power": ["--commits", "10", "--losses", "60"],
    "full_disk": ["--moments", "10"],
    "damage": ["--count", "60"],
    "mutated": ["--count", "1000"],
    "bombs": [],
    "clients": ["--seconds", "8"],
    "schema": ["--minutes", "2"],
    "access": ["--checks", "1000"],
}
TIMEOUT_S = 600


def main() -> int:
    """Run the attacks one after the other; return 1 if one found a fault."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    rows = []
    for name in parser.parse_args().only:
        command = [sys.executable, str(Path(__file__).with_name(f"{name}.py")), *ATTACKS[name]]
        print(f"\n== {name}.py {' '.join(ATTACKS[name])}", flush=True)
        start = time.monotonic()
        try:
            code = subprocess.run(command, timeout=TIMEOUT_S, check=False).returncode
            outcome = "passed" if code == 0 else f"failed (exit code {code})"
        except subprocess.TimeoutExpired:
            outcome = f"failed (longer than {TIMEOUT_S} s)"
        rows.append((name, " ".join(ATTACKS[name]), time.monotonic() - start, outcome))
    print(f"\n{'attack':10} {'size':28} {'seconds':>8}  outcome")
    for name, size, seconds, outcome in rows:
        print(f"{name:10} {size:28} {seconds:8.0f}  {outcome}")
    return 0 if all(outcome == "passed" for *_, outcome in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
