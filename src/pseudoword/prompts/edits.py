"""Prompt editing `[from:to:when]` and alternation `[a|b]`: which tokens a prompt has at which model call.

Upstream reads this with a general grammar; here one pass with an explicit stack finds the brackets that the same
rules make an edit or an alternation (reference a1111.md §2.2):

- A round bracket may hold at most one colon of its own, a square one none, or it is an edit: one or two colons
  and a number before its end. Square brackets with bars and without colons are alternations.
- A bracket that is none of these, or that is not closed, is plain text, and so are all that enclose it.
- A bar that belongs to no alternation makes every bracket of the sub-prompt plain.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pseudoword.prompts.syntax import Note, Token

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*")
_FAR = 1e9
"""Later than any call; keeps huge numbers out of the arithmetic."""


@dataclass(frozen=True, slots=True)
class Group:
    """An edit or an alternation: token ranges of its texts, and the index of its closing bracket."""

    branches: tuple[tuple[int, int], ...]
    close: int
    when: str | None
    """The number as written, for an edit; None for an alternation."""


@dataclass(frozen=True, slots=True)
class Clock:
    """How numbers in prompts are read: base pass, or hires pass after a base pass of `base_calls`."""

    num_calls: int
    base_calls: int | None = None

    def switch_after(self, when: str) -> int:
        """The last call number of the first text, within 0 … num_calls; below 1 the first text never shows."""
        value = max(-_FAR, min(_FAR, float(when)))
        if "." in when:
            value = (value - (self.base_calls is not None)) * self.num_calls
        else:
            value -= self.base_calls or 0
        return max(0, min(self.num_calls, int(value)))


@dataclass(frozen=True, slots=True)
class Stretch:
    """What the prompt is up to and with model call `end`."""

    end: int
    tokens: tuple[Token, ...]


@dataclass(slots=True)
class _Open:
    index: int
    sign: str
    colons: list[int] = field(default_factory=list[int])
    bars: list[int] = field(default_factory=list[int])


class _LooseBar(Exception):
    """A bar that belongs to no alternation."""

    def __init__(self, index: int) -> None:
        self.index = index


def find_groups(tokens: Sequence[Token]) -> tuple[Mapping[int, Group], tuple[Note, ...]]:
    """Edits and alternations by the index of their opening bracket, and a note where a bar forbids them all."""
    found: dict[int, Group] = {}
    stack: list[_Open] = []
    try:
        for index, token in enumerate(tokens):
            if token.kind in ("(", "["):
                stack.append(_Open(index, token.kind))
            elif token.kind == ":":
                if stack:
                    stack[-1].colons.append(index)
            elif token.kind == "|":
                if not stack or stack[-1].sign == "(":
                    raise _LooseBar(index)
                stack[-1].bars.append(index)
            elif token.kind in (")", "]") and stack:
                _close(tokens, index, stack, found)
        _give_up(stack)
    except _LooseBar as loose:
        if not any(token.kind == "[" for token in tokens):
            return {}, ()
        message = "this | belongs to no [a|b], so no bracket here switches or alternates (write \\| for a plain one)"
        return {}, (Note(tokens[loose.index].offset, message),)
    return found, ()


def _close(tokens: Sequence[Token], index: int, stack: list[_Open], found: dict[int, Group]) -> None:
    top = stack[-1]
    if (top.sign, tokens[index].kind) not in (("(", ")"), ("[", "]")):
        _give_up(stack)
        return
    if top.sign == "(":
        well_formed = len(top.colons) <= 1
    elif top.bars:
        if top.colons:
            raise _LooseBar(top.bars[0])
        found[top.index] = Group(_between(top.index, top.bars, index), index, None)
        well_formed = True
    else:
        edit = _edit(tokens, top, index)
        if edit is not None:
            found[top.index] = edit
        well_formed = edit is not None or not top.colons
    if well_formed:
        stack.pop()
    else:
        _give_up(stack)


def _give_up(stack: list[_Open]) -> None:
    """Everything that is open is plain text."""
    for opened in stack:
        if opened.bars:
            raise _LooseBar(opened.bars[0])
    stack.clear()


def _edit(tokens: Sequence[Token], top: _Open, close: int) -> Group | None:
    if len(top.colons) not in (1, 2) or close - top.colons[-1] != 2:
        return None
    last = tokens[close - 1]
    match = NUMBER.fullmatch(last.text) if last.kind == "text" else None
    if match is None:
        return None
    branches = _between(top.index, top.colons[:-1], top.colons[-1])
    if len(branches) == 1:
        branches = ((top.index + 1, top.index + 1), *branches)
    return Group(branches, close, match[1])


def _between(first: int, separators: Sequence[int], last: int) -> tuple[tuple[int, int], ...]:
    edges = [first, *separators, last]
    return tuple((edges[i] + 1, edges[i + 1]) for i in range(len(edges) - 1))


def stretches(tokens: Sequence[Token], groups: Mapping[int, Group], clock: Clock) -> tuple[Stretch, ...]:
    """The prompt over time; one stretch per place where anything may change, in rising order."""
    if not groups:
        return (Stretch(clock.num_calls, tuple(tokens)),)
    switches = {opening: clock.switch_after(g.when) for opening, g in groups.items() if g.when is not None}
    ends = {clock.num_calls} | {switch for switch in switches.values() if switch >= 1}
    if len(switches) < len(groups):
        ends |= set(range(1, clock.num_calls + 1))
    return tuple(Stretch(end, _select(tokens, groups, switches, end)) for end in sorted(ends))


def _select(
    tokens: Sequence[Token], groups: Mapping[int, Group], switches: Mapping[int, int], step: int
) -> tuple[Token, ...]:
    """Tokens at `step` (from 1): every group gives way to the one of its texts that holds then."""
    chosen: list[Token] = []
    inside: list[tuple[int, int]] = []  # (end of a text that is being walked, index to go on at)
    index = 0
    while True:
        while inside and index == inside[-1][0]:
            index = inside.pop()[1]
        if index == len(tokens):
            return tuple(chosen)
        group = groups.get(index)
        if group is None:
            chosen.append(tokens[index])
            index += 1
            continue
        if group.when is None:
            index, end = group.branches[(step - 1) % len(group.branches)]
        else:
            index, end = group.branches[0 if step <= switches[index] else 1]
        inside.append((end, group.close + 1))
