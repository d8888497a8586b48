"""Edit distance between two sequences."""

from __future__ import annotations

from collections.abc import Sequence


def edit_distance(a: Sequence[object], b: Sequence[object]) -> int:
    """Compute the Levenshtein distance of two sequences, such as characters or words.

    Example:
        >>> edit_distance("kitten", "sitting")
        3
    """
    # One row of the table of distances; `diagonal` is the cell to the upper left.
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, start=1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]
