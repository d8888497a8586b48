"""Parameters in PostgreSQL's binary format; psycopg converts long lists element by element."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

# OIDs of bigint and double precision.
_ELEMENTS = {np.dtype(np.int64): (20, ">i8"), np.dtype(np.float64): (701, ">f8")}


@dataclass(frozen=True, slots=True)
class BinaryParameter:
    """A value in the binary format of the type that it is cast to."""

    data: bytes


def vector_parameter(vector: npt.NDArray[np.float32]) -> BinaryParameter:
    """A parameter for `%s::vector`."""
    return BinaryParameter(struct.pack(">HH", len(vector), 0) + vector.astype(">f4").tobytes())


def array_parameter(values: npt.NDArray[Any]) -> BinaryParameter:
    """A parameter for `%s::bigint[]` or `%s::float8[]`."""
    oid, kind = _ELEMENTS[values.dtype]
    elements = np.empty(len(values), [("bytes", ">i4"), ("value", kind)])
    elements["bytes"], elements["value"] = 8, values
    dimensions = 1 if len(values) else 0
    header = struct.pack(">iii", dimensions, 0, oid)
    if dimensions:
        header += struct.pack(">ii", len(values), 1)
    return BinaryParameter(header + elements.tobytes())


@cache
def register_parameters() -> None:
    """Let connections that are opened later take a `BinaryParameter`."""
    from psycopg import adapters
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class ParameterDumper(Dumper):
        # Without an OID, the type is that of the cast.
        format = Format.BINARY

        def dump(self, obj: BinaryParameter) -> bytes:
            return obj.data

    adapters.register_dumper(BinaryParameter, ParameterDumper)
