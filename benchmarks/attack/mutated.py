"""Read thousands of mutated files of all kinds: no traceback, nothing slow, nothing large.

    python benchmarks/attack/mutated.py --count 2000

Each file is a valid one (those of `tests/file_kinds.py`, and PDF files) after one or two
mutations: flipped bits, a truncation, a chunk of another file, a repeated chunk, extreme numbers
in place of sizes. In half of the files that are ZIP archives, the mutations hit a member.
"""

from __future__ import annotations

import argparse
import io
import random
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from reading import read_files

ROOT = Path(__file__).parents[2]
SIZES = (0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 1 << 30)


def write_seeds(folder: Path) -> list[Path]:
    """Write a valid file of each kind."""
    sys.path.insert(0, str(ROOT / "tests"))
    from file_kinds import write_kinds

    folder.mkdir()
    write_kinds(folder)
    for path in sorted((ROOT / "src/wavrag/demo/data/corpus/documents").iterdir()):
        (folder / path.name).write_bytes(path.read_bytes())
    return sorted(path for path in folder.iterdir() if path.is_file())


def flip_bits(data: bytearray, source: random.Random, other: bytes) -> None:
    """Flip up to 50 bits."""
    for _ in range(source.choice((1, 1, 3, 10, 50))):
        data[source.randrange(len(data))] ^= 1 << source.randrange(8)


def truncate(data: bytearray, source: random.Random, other: bytes) -> None:
    """Cut the end off."""
    del data[source.randrange(1, len(data) + 1) :]


def splice(data: bytearray, source: random.Random, other: bytes) -> None:
    """Overwrite or insert a chunk of another file."""
    start, length = source.randrange(len(other)), source.choice((4, 50, 1_000, 20_000))
    at = source.randrange(len(data))
    chunk = other[start : start + length]
    data[at : at + source.choice((0, len(chunk)))] = chunk


def repeat(data: bytearray, source: random.Random, other: bytes) -> None:
    """Repeat a short chunk up to 100,000 bytes."""
    at, length = source.randrange(len(data)), source.choice((1, 2, 8, 60))
    chunk = bytes(data[at : at + length])
    data[at:at] = chunk * source.choice((10, 1_000, 100_000 // max(len(chunk), 1)))


def lie_about_size(data: bytearray, source: random.Random, other: bytes) -> None:
    """Overwrite four or eight bytes with an extreme number, most often in the header."""
    at = source.randrange(min(len(data), source.choice((64, 512, len(data)))))
    number = source.choice(SIZES).to_bytes(4, source.choice(("little", "big")))
    data[at : at + 4] = number


MUTATIONS: tuple[Callable[[bytearray, random.Random, bytes], None], ...] = (
    flip_bits, truncate, splice, repeat, lie_about_size,
)  # fmt: skip


def mutate(data: bytes, source: random.Random, other: bytes) -> bytes:
    """Apply one or two mutations."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 2))):
        if changed:
            source.choice(MUTATIONS)(changed, source, other)
    return bytes(changed)


def mutate_member(data: bytes, source: random.Random, other: bytes) -> bytes:
    """Mutate a member of a ZIP archive, and pack it again."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        victim = source.choice(archive.namelist())
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as mutated:
            for name in archive.namelist():
                content = archive.read(name)
                mutated.writestr(
                    name, mutate(content, source, other) if name == victim else content
                )
    return target.getvalue()


def write_mutants(
    seeds: list[Path], folder: Path, count: int, seed: int
) -> Iterator[tuple[str, Path]]:
    """Write a mutated file each time, of each kind in turn; yield kind and path."""
    folder.mkdir()
    for number in range(count):
        source = random.Random(f"{seed}-{number}")
        path = seeds[number % len(seeds)]
        other = source.choice(seeds).read_bytes() or b"\0"
        data = path.read_bytes()
        is_zip = zipfile.is_zipfile(path) and source.random() < 0.5
        mutant = folder / f"{number}-{path.name}"
        mutant.write_bytes((mutate_member if is_zip else mutate)(data, source, other))
        yield path.suffix or "none", mutant


def main() -> int:
    """Read the files and print a row per kind; the exit code is 1 if a bar fails."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2_000, help="number of files (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (default: 0)")
    parser.add_argument("--keep", type=Path, help="folder for files that fail")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        seeds = write_seeds(Path(scratch) / "seeds")
        mutants = write_mutants(seeds, Path(scratch) / "mutants", arguments.count, arguments.seed)
        table = read_files(mutants, arguments.keep)
    table.print()
    return bool(table.failures)


if __name__ == "__main__":
    sys.exit(main())
