"""The pickle machine: a stack, a memo and one small rule per opcode, over plain values only.

Opcodes are parsed by `pickletools.genops`, which builds texts and numbers and calls nothing. The names that a
file mentions become entries of the allow-list (`_allowed.find_global`) or the reading ends there. What calls
or builds in a real unpickler is here a look-up in that list. Bounded: opcodes, integers, keys; dictionary
keys are texts or small integers, so that neither deep nesting nor crafted hashes cost anything.
"""

import pickletools
from collections.abc import Callable
from typing import IO

from pseudoword.errors import BadFile, UnsafePickle
from pseudoword.unpickle._allowed import Node, StandIn, find_global

PersistentLoad = Callable[[object], object]

MAX_OPCODES = 200_000
"""An embedding takes some hundreds; a LoRA with a thousand tensors 40,000."""
_MAX_KEY = 1 << 16
_MAX_INTEGER = 1 << 128
"""The legacy format's magic number has 77 bits."""

_CONSTANTS: dict[str, object] = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_IGNORED = frozenset({"PROTO", "FRAME"})
_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
        *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    }
)


def interpret(stream: IO[bytes], persistent_load: PersistentLoad, max_opcodes: int = MAX_OPCODES) -> object:
    """The value of the pickle that begins at the stream's position; the stream ends right behind it.

    Raises:
        UnsafePickle: a name is not on the allow-list; `got` is that name.
        BadFile, ValueError, TypeError, LookupError: the pickle is damaged.
    """
    machine = _Machine(persistent_load)
    for count, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name == "STOP":
            return machine.pop()
        if count > max_opcodes:
            raise BadFile(f"more than {max_opcodes} pickle instructions")
        machine.step(opcode.name, argument)
    raise BadFile("the pickle has no end")


class _Machine:
    def __init__(self, persistent_load: PersistentLoad) -> None:
        self.persistent_load = persistent_load
        self.stack: list[object] = []
        self.marked: list[list[object]] = []
        self.memo: dict[int, object] = {}

    def step(self, name: str, argument: object) -> None:
        if name in _LITERALS:
            self.stack.append(_bounded(argument))
        elif name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name not in _IGNORED:
            rule = _RULES.get(name)
            if rule is None:
                raise BadFile(f"pickle instruction {name}, which no torch file needs")
            rule(self, argument)

    def pop(self) -> object:
        return self.stack.pop()

    def pop_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def mark(self, _: object) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def make_tuple(self, num: int) -> None:
        if len(self.stack) < num:
            raise BadFile("the pickle takes more from its stack than there is")
        items = tuple(self.stack[len(self.stack) - num :])
        del self.stack[len(self.stack) - num :]
        self.stack.append(items)

    def make_marked_tuple(self, _: object) -> None:
        items = self.pop_mark()
        self.stack.append(tuple(items))

    def make_list(self, _: object) -> None:
        items = self.pop_mark()
        self.stack.append(items)

    def drop(self, _: object) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self.pop_mark()

    def put(self, index: object) -> None:
        self.memo[int(str(index))] = self.stack[-1]

    def get(self, index: object) -> None:
        value = self.memo[int(str(index))]
        built = value.built if isinstance(value, Node) else None
        self.stack.append(value if built is None else built)

    def name_global(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        self.stack.append(find_global(module, name))

    def stack_global(self, _: object) -> None:
        name, module = self.pop(), self.pop()
        self.stack.append(find_global(str(module)[:200], str(name)[:200]))

    def extension(self, argument: object) -> None:
        raise UnsafePickle(f"extension code {argument}")

    def instance(self, argument: object) -> None:
        module, _, name = str(argument).partition(" ")
        find_global(module, name)
        raise BadFile(f"an old-style instance of {module}.{name}")

    def reduce(self, _: object) -> None:
        arguments, function = self.pop(), self.pop()
        if not isinstance(function, StandIn) or not isinstance(arguments, tuple):
            raise BadFile("the pickle calls something that is no function")
        self.stack.append(function.call(*arguments))

    def build(self, _: object) -> None:
        state, target = self.pop(), self.stack[-1]
        if isinstance(target, Node):
            target.build(state)
            self.stack[-1] = target.built
        elif not isinstance(target, dict):  # an OrderedDict's attributes, as `_metadata`, are left out
            raise BadFile(f"the pickle sets the state of a {type(target).__name__}")

    def append(self, _: object) -> None:
        item = self.pop()
        _list(self.stack[-1]).append(item)

    def appends(self, _: object) -> None:
        items = self.pop_mark()
        _list(self.stack[-1]).extend(items)

    def set_item(self, _: object) -> None:
        value, key = self.pop(), self.pop()
        _dict(self.stack[-1])[checked_key(key)] = value

    def set_items(self, _: object) -> None:
        items = self.pop_mark()
        _fill(_dict(self.stack[-1]), items)

    def make_dict(self, _: object) -> None:
        items = self.pop_mark()
        self.stack.append(_fill({}, items))

    def add_items(self, _: object) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, set):
            raise BadFile("the pickle adds to a set that is none")
        target.update(checked_key(item) for item in items)

    def persistent(self, _: object) -> None:
        self.stack.append(self.persistent_load(self.pop()))


def _bounded(value: object) -> object:
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise BadFile("an integer of more than 128 bits")
    return value


def checked_key(key: object) -> str | int:
    """A key of a mapping or set: a text or a small integer, whose hashing cannot be made costly.

    A class of the allow-list becomes its name: old Lightning keeps its callbacks under their classes.

    Raises:
        BadFile: anything else.
    """
    if isinstance(key, str):
        return key
    if isinstance(key, StandIn):
        return key.name
    if isinstance(key, int) and abs(key) < _MAX_KEY:
        return key
    raise BadFile(f"a mapping with a key that is a {type(key).__name__}")


def _fill(target: dict[object, object], items: list[object]) -> dict[object, object]:
    if len(items) % 2:
        raise BadFile("a mapping with a key but no value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        target[checked_key(key)] = value
    return target


def _list(target: object) -> list[object]:
    if not isinstance(target, list):
        raise BadFile("the pickle appends to something that is no list")
    return target


def _dict(target: object) -> dict[object, object]:
    if not isinstance(target, dict):
        raise BadFile("the pickle sets items of something that is no mapping")
    return target


Rule = Callable[[_Machine, object], None]

_RULES: dict[str, Rule] = {
    "MARK": _Machine.mark,
    "POP": _Machine.drop,
    "POP_MARK": lambda m, _: m.pop_mark().clear(),
    "DUP": lambda m, _: m.stack.append(m.stack[-1]),
    "EMPTY_TUPLE": lambda m, _: m.make_tuple(0),
    "TUPLE1": lambda m, _: m.make_tuple(1),
    "TUPLE2": lambda m, _: m.make_tuple(2),
    "TUPLE3": lambda m, _: m.make_tuple(3),
    "TUPLE": _Machine.make_marked_tuple,
    "EMPTY_LIST": lambda m, _: m.stack.append([]),
    "LIST": _Machine.make_list,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "EMPTY_DICT": lambda m, _: m.stack.append({}),
    "DICT": _Machine.make_dict,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "EMPTY_SET": lambda m, _: m.stack.append(set()),
    "ADDITEMS": _Machine.add_items,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": lambda m, _: m.put(len(m.memo)),
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.name_global,
    "STACK_GLOBAL": _Machine.stack_global,
    "INST": _Machine.instance,
    "EXT1": _Machine.extension,
    "EXT2": _Machine.extension,
    "EXT4": _Machine.extension,
    "REDUCE": _Machine.reduce,
    "NEWOBJ": _Machine.reduce,
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persistent,
}
