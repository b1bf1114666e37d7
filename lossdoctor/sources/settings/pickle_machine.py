"""Interpret one pickle into plain values and inert stubs: nothing is imported, nothing is called, there is no Unpickler.

The standard library's `pickletools.genops` tokenises the opcodes; this module is the stack machine of `pickle.py` with every
constructor replaced by a `Stub` that only remembers what would have been called. What a pickle can cost is bounded by the number of
opcodes, the memo indexes, and the nodes and depth of the finished value, counted with every shared part expanded, so that a caller
may walk the value without care for cycles or memo bombs.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable, Iterator
from pickletools import OpcodeInfo, genops
from typing import Any, BinaryIO

from lossdoctor.limits import LIMITS, Limits
from lossdoctor.sources.settings.pickle_values import PickleRefused, Stub, check_shape, would_call

_OPCODES_PER_NODE = 4
_MAX_INT_BITS = 127


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
        for opcode, arg, _ in _tokens(stream):
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
    check_shape(machine.stack[0], limits)
    return machine.stack[0]


def _tokens(stream: BinaryIO) -> Iterator[tuple[OpcodeInfo, Any, int | None]]:
    """The opcodes; a damaged escape in a string is a warning to the tokeniser and damage to us."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", DeprecationWarning)
        try:
            yield from genops(stream)
        except DeprecationWarning as warning:
            raise PickleRefused(f"damaged pickle ({warning})") from warning


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
    machine.stack.append(would_call(callee, args))


def _new_object_with_keywords(machine: _Machine, _: Any) -> None:
    keywords, args, callee = machine.stack.pop(), machine.stack.pop(), machine.stack.pop()
    made = would_call(callee, args)
    if isinstance(made, Stub) and isinstance(keywords, dict):
        made.contents = keywords
    machine.stack.append(made)


def _object(machine: _Machine, _: Any) -> None:
    callee, *args = machine.pop_mark()
    machine.stack.append(would_call(callee, tuple(args)))


def _instance(machine: _Machine, arg: str) -> None:
    module, _, name = arg.partition(" ")
    machine.stack.append(would_call(Stub(module, name), tuple(machine.pop_mark())))


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
