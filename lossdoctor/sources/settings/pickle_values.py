"""The values that an inert reading of a pickle gives: plain ones, and stubs in place of what would have been called."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from lossdoctor.errors import Unreadable
from lossdoctor.limits import Limits

_MAX_ENCODED_CHARS = 64
_NUMPY_FORMATS = {"f8": "<d", "f4": "<f", "f2": "<e", "i8": "<q", "i4": "<i", "u8": "<Q", "u4": "<I", "b1": "<?"}


class PickleRefused(Unreadable):
    """The pickle is damaged, beyond the limits, or does something that no settings file does; the message says which."""


@dataclass(slots=True, eq=False)
class Stub:
    """What stood in place of an object: the global that would have been called, its arguments, its state and its contents.

    `args` is None for a global that was named but not called (an enum class, a dtype); `contents` holds the items of a list or dict
    subclass. Compared and hashed by identity, so a stub is a safe key.
    """

    module: str
    name: str
    args: tuple[Any, ...] | None = None
    state: Any = None
    contents: list[Any] | dict[Any, Any] | None = None


def would_call(callee: Any, args: Any) -> Any:
    """What calling would have given, for the few constructors that hold settings; for every other one a stub with its arguments."""
    if not isinstance(callee, Stub) or not isinstance(args, tuple):
        raise PickleRefused("something other than a named global is called")
    path = (callee.module, callee.name)
    if path in {("collections", "OrderedDict"), ("collections", "defaultdict")} and not (args and isinstance(args[0], list)):
        return {}
    if callee.module in {"builtins", "__builtin__"}:
        if callee.name in {"set", "frozenset"} and len(args) == 1 and isinstance(args[0], list):
            return args[0]
        if callee.name == "getattr" and len(args) == 2 and isinstance(args[0], Stub) and isinstance(args[1], str):
            return Stub(args[0].module, args[0].name, (args[1],))
    if path == ("_codecs", "encode") and args and isinstance(args[0], str) and len(args[0]) <= _MAX_ENCODED_CHARS:
        return args[0].encode("latin-1")
    if callee.name == "scalar" and callee.module in {"numpy.core.multiarray", "numpy._core.multiarray"}:
        return _numpy_scalar(args)
    if callee.module == "torch._utils" and callee.name.startswith("_rebuild"):
        return Stub(callee.module, callee.name, ())  # a tensor: where its bytes lie would use up the node budget of an optimizer's state
    return Stub(callee.module, callee.name, args)


def _numpy_scalar(args: tuple[Any, ...]) -> Any:
    match args:
        case (Stub(name="dtype", args=(str() as code, *_)), bytes() as raw) if code.lstrip("<=|") in _NUMPY_FORMATS:
            return struct.unpack(_NUMPY_FORMATS[code.lstrip("<=|")], raw)[0]
        case _:
            return Stub("numpy", "scalar", args)


def check_shape(root: Any, limits: Limits) -> None:
    """Walk the value with shared parts expanded; a cycle runs into the depth, a memo bomb into the node count."""
    nodes = 0
    pending = [(root, 0)]
    while pending:
        value, depth = pending.pop()
        nodes += 1
        children = _children(value)
        if children and depth >= limits.pickle_depth:
            raise PickleRefused(f"nested deeper than {limits.pickle_depth} levels")
        if nodes + len(pending) + len(children) > limits.pickle_nodes:
            raise PickleRefused(f"more than {limits.pickle_nodes} values")
        pending.extend((child, depth + 1) for child in children)


def _children(value: Any) -> list[Any] | tuple[Any, ...]:
    if isinstance(value, dict):
        return [*value.keys(), *value.values()]
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Stub):
        return [part for part in (value.args, value.state, value.contents) if part is not None]
    return ()
