"""Values of the tensor-style summaries that TF2 and torch write: one number, or strings. Source: tensorflow/core/framework/tensor.proto."""

from __future__ import annotations

from typing import Any

import numpy as np

STRING = 7
BFLOAT16 = 14
HALF = 19
NUMPY = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?", 17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8"}
LISTS = {
    1: "float_val",
    2: "double_val",
    3: "int_val",
    4: "int_val",
    5: "int_val",
    6: "int_val",
    9: "int64_val",
    10: "bool_val",
    14: "half_val",
    17: "int_val",
    19: "half_val",
    22: "uint32_val",
    23: "uint64_val",
}


def elements(tensor: Any) -> int | None:
    """The number of elements its shape declares; None for an unknown rank."""
    count = 1
    for dim in tensor.shape.dim:
        count *= dim.size
    return None if tensor.shape.unknown_rank else count


def number(tensor: Any) -> float | None:
    """The value of a numeric tensor with one element, exactly; None if it holds none or does not fit its type."""
    raw = tensor.tensor_content
    if raw:
        if tensor.dtype == BFLOAT16:
            return _bfloat16(int.from_bytes(raw, "little")) if len(raw) == 2 else None
        kind = NUMPY.get(tensor.dtype)
        return float(np.frombuffer(raw, kind)[0]) if kind and len(raw) == np.dtype(kind).itemsize else None
    values = getattr(tensor, LISTS.get(tensor.dtype, "float_val"))
    if tensor.dtype not in LISTS or len(values) != 1:
        return None
    if tensor.dtype == BFLOAT16:
        return _bfloat16(values[0])
    if tensor.dtype == HALF:
        return float(np.array(values[0] & 0xFFFF, dtype="<u2").view("<f2"))
    return float(values[0])


def _bfloat16(bits: int) -> float:
    return float(np.array((bits & 0xFFFF) << 16, dtype="<u4").view("<f4"))
