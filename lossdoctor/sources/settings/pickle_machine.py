"""Interpret one pickle into plain values and inert stubs: nothing is imported, nothing is called, there is no Unpickler.

The standard library's `pickletools.genops` tokenises the opcodes; this module is the stack machine of `pickle.py` with every
constructor replaced by a `Stub` that only remembers what would have been called. What a pickle can cost is bounded by the number of
opcodes, the memo indexes, and the nodes and depth of the finished value, counted with every shared part expanded, so that a caller
may walk the value without care for cycles or memo bombs.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pickletools import genops
from typing import Any, BinaryIO

from lossdoctor.errors import Unreadable
from lossdoctor.limits import LIMITS, Limits

_OPCODES_PER_NODE = 4
_MAX_INT_BITS = 127
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


class _Machine:
    __slots__ = ("limits", "marks", "memo", "stack")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.memo: dict[int, Any] = {}
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []

    def pop_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marks.pop()
        return items

    def memoize(self, index: int) -> None:
        if not 0 <= index <= self.limits.pickle_nodes:
            raise PickleRefused(f"memo index {index} is beyond the limit of {self.limits.pickle_nodes}")
        self.memo[index] = self.stack[-1]


def interpret(stream: BinaryIO, limits: Limits = LIMITS) -> Any:
    """Read one pickle from the stream, up to and including its STOP, and give its value built of None, bool, int, float, str, bytes,
    list, tuple, dict (str, int, bool, None or Stub keys) and `Stub`. Sets become lists, OrderedDict and defaultdict become dicts.

    Raises PickleRefused for anything else.
    """
    machine = _Machine(limits)
    budget = limits.pickle_nodes * _OPCODES_PER_NODE
    try:
        for opcode, arg, _ in genops(stream):
            budget -= 1
            if budget < 0:
                raise PickleRefused(f"more than {limits.pickle_nodes * _OPCODES_PER_NODE} opcodes")
            step = _STEPS.get(opcode.name)
            if step is None:
                raise PickleRefused(f"opcode {opcode.name} does not occur in settings")
            step(machine, arg)
    except PickleRefused:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, AttributeError, struct.error) as error:
        raise PickleRefused(f"damaged pickle ({type(error).__name__}: {str(error)[:120]})") from error
    if len(machine.stack) != 1 or machine.marks:
        raise PickleRefused("damaged pickle (its stack does not end with one value)")
    _check_shape(machine.stack[0], limits)
    return machine.stack[0]


def _check_shape(root: Any, limits: Limits) -> None:
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


def _push(machine: _Machine, arg: Any) -> None:
    if isinstance(arg, int) and arg.bit_length() > _MAX_INT_BITS:
        raise PickleRefused("an integer of more than 127 bits")
    machine.stack.append(arg)


def _constant(value: Any) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(value)


def _empty(kind: type[list[Any]] | type[dict[Any, Any]] | type[tuple[Any, ...]]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(kind())


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        if len(machine.stack) < count:
            raise PickleRefused("damaged pickle (a tuple of missing values)")
        machine.stack[-count:] = [tuple(machine.stack[-count:])]

    return step


def _marked(build: Callable[[list[Any]], Any]) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        items = machine.pop_mark()
        machine.stack.append(build(items))

    return step


def _nothing(_machine: _Machine, _arg: Any) -> None:
    """PROTO, FRAME and STOP carry no value."""


def _mark(machine: _Machine, _: Any) -> None:
    machine.marks.append(machine.stack)
    machine.stack = []


def _pop(machine: _Machine, _: Any) -> None:
    if machine.stack:
        machine.stack.pop()
    else:
        machine.pop_mark()


def _get(machine: _Machine, index: int) -> None:
    machine.stack.append(machine.memo[index])


def _put(machine: _Machine, index: int) -> None:
    machine.memoize(index)


def _memoize(machine: _Machine, _: Any) -> None:
    machine.memoize(len(machine.memo))


def _append(machine: _Machine, _: Any) -> None:
    item = machine.stack.pop()
    _extend_with(machine, [item])


def _appends(machine: _Machine, _: Any) -> None:
    _extend_with(machine, machine.pop_mark())


def _extend_with(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if isinstance(target, Stub):
        target.contents = target.contents if isinstance(target.contents, list) else []
        target = target.contents
    if not isinstance(target, list):
        raise PickleRefused(f"items appended to a {type(target).__name__}")
    target.extend(items)


def _setitem(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    _update_with(machine, [key, value])


def _setitems(machine: _Machine, _: Any) -> None:
    _update_with(machine, machine.pop_mark())


def _update_with(machine: _Machine, items: list[Any]) -> None:
    target = machine.stack[-1]
    if isinstance(target, Stub):
        target.contents = target.contents if isinstance(target.contents, dict) else {}
        target = target.contents
    if not isinstance(target, dict):
        raise PickleRefused(f"keys set in a {type(target).__name__}")
    target.update(_pairs(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    if len(items) % 2:
        raise PickleRefused("damaged pickle (a key without a value)")
    keys = items[::2]
    # Hashes of strings are salted and those of small integers distinct; tuples, floats and long integers can be made to collide.
    if not all(key is None or isinstance(key, str | Stub) or (isinstance(key, int) and abs(key) < 1 << 60) for key in keys):
        raise PickleRefused("a mapping key that is neither a string nor a small integer")
    return dict(zip(keys, items[1::2], strict=True))


def _global(machine: _Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(Stub(module, name))


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    if not (isinstance(name, str) and isinstance(module, str)):
        raise PickleRefused("damaged pickle (a global without a name)")
    machine.stack.append(Stub(module, name))


def _reduce(machine: _Machine, _: Any) -> None:
    args, callee = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_would_call(callee, args))


def _new_object_with_keywords(machine: _Machine, _: Any) -> None:
    keywords, args, callee = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    made = _would_call(callee, args)
    if isinstance(made, Stub) and isinstance(keywords, dict):
        made.contents = keywords
    machine.stack.append(made)


def _object(machine: _Machine, _: Any) -> None:
    callee, *args = machine.pop_mark()
    machine.stack.append(_would_call(callee, tuple(args)))


def _instance(machine: _Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(_would_call(Stub(module, name), tuple(machine.pop_mark())))


def _persistent(machine: _Machine, arg: Any) -> None:
    machine.stack.append(Stub("", "persistent-id", (arg,)))


def _stacked_persistent(machine: _Machine, _: Any) -> None:
    machine.stack.append(Stub("", "persistent-id", (machine.stack.pop(),)))


def _build(machine: _Machine, _: Any) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, Stub):
        target.state = state
    elif not isinstance(target, dict | list):
        raise PickleRefused(f"a state given to a {type(target).__name__}")


def _would_call(callee: Any, args: Any) -> Any:
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
    return Stub(callee.module, callee.name, args)


def _numpy_scalar(args: tuple[Any, ...]) -> Any:
    match args:
        case (Stub(name="dtype", args=(str() as code, *_)), bytes() as raw) if code.lstrip("<=|") in _NUMPY_FORMATS:
            return struct.unpack(_NUMPY_FORMATS[code.lstrip("<=|")], raw)[0]
        case _:
            return Stub("numpy", "scalar", args)


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"), _push),
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _push),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _push),
    "NONE": _constant(None),
    "NEWTRUE": _constant(True),
    "NEWFALSE": _constant(False),
    "EMPTY_LIST": _empty(list),
    "EMPTY_DICT": _empty(dict),
    "EMPTY_TUPLE": _empty(tuple),
    "EMPTY_SET": _empty(list),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "TUPLE": _marked(tuple),
    "LIST": _marked(list),
    "FROZENSET": _marked(list),
    "DICT": _marked(_pairs),
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "SETITEM": _setitem,
    "SETITEMS": _setitems,
    "MARK": _mark,
    "POP": _pop,
    "POP_MARK": lambda machine, _: machine.pop_mark().clear(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _get),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _put),
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduce,
    "NEWOBJ": _reduce,
    "NEWOBJ_EX": _new_object_with_keywords,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _build,
    "PERSID": _persistent,
    "BINPERSID": _stacked_persistent,
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
}
