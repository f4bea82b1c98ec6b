"""The language of `pseudoword merge`: text → tree. Pure; knows neither files nor models.

    "a photo of" + word*0.5 - other, <my other-word>:2

    part    = sum { "," sum }                       parts are laid end to end
    sum     = product { ("+" | "-") product }
    product = unary { ("*" | "/") unary | ":" N | ":+" N | ":-" N }
    unary   = { "-" | "+" } operand
    operand = number | 'text' | "text" | word | path | <word or path> | "(" part ")"

Quoted is plain text, unquoted a learned word. `:N` makes it N vectors (cut, or filled up with zeros), `:+N` and
`:-N` turn the vectors in a circle, as in A1111's embedding-merge extension. A word may hold `-`, `.` or spaces: the
longest word of the folder that stands at a place is taken, so `a-b` is the word `a-b` if there is one, else `a`
minus `b`. Where the extension would be read otherwise, the error says how to write it here.
"""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass

from pseudoword.errors import BadOption

MAX_LENGTH = 4000
_MAX_DEPTH = 50
_SUFFIX = r"\.(?:safetensors|pt|pth|bin|ckpt|pti|png|webp|avif|jxl)"
_NUMBER = re.compile(r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.])")
_WHOLE = re.compile(r"[+-]?\d+(?![\w.])")
_PATH = re.compile(rf"[^\s\"'()*+,<>]+?{_SUFFIX}(?=[\s+\-*/,():]|$)", re.IGNORECASE)
_WORD = re.compile(r"\w[\w.]*")
_END = re.compile(r"[\s+\-*/,():]|$")


@dataclass(frozen=True, slots=True)
class Number:
    """A plain number."""

    value: float
    column: int


@dataclass(frozen=True, slots=True)
class Text:
    """Quoted text: the vocabulary's own vectors of its tokens."""

    text: str
    column: int


@dataclass(frozen=True, slots=True)
class Word:
    """A learned word, or the path of a file with one."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class Negative:
    """The operand times minus one."""

    operand: "Node"
    column: int


@dataclass(frozen=True, slots=True)
class Binary:
    """`sign` is one of `+ - * / ,`."""

    sign: str
    left: "Node"
    right: "Node"
    column: int
    """Of the sign."""


@dataclass(frozen=True, slots=True)
class Shaped:
    """`sign` is `:` (make it `number` vectors) or `:+` (turn by `number`, which may be negative)."""

    sign: str
    operand: "Node"
    number: int
    column: int


Node = Number | Text | Word | Negative | Binary | Shaped


def wrong(column: int, got: str, *, expected: str = "", next_move: str = "") -> BadOption:
    """An error at a column of the expression, counted from 1."""
    return BadOption(f"expression, column {column}: {got}", expected=expected, next_move=next_move)


def parse(text: str, names: Collection[str] = ()) -> Node:
    """The tree of an expression.

    Args:
        text: what the user wrote.
        names: the words of the folder, so that those with `-` or spaces in them are recognised.

    Raises:
        BadOption: it is no expression; the error names the column, counted from 1.
    """
    if len(text) > MAX_LENGTH:
        raise BadOption(f"an expression of {len(text)} characters", expected=f"at most {MAX_LENGTH}")
    parser = _Parser(text, names)
    node = parser.join()
    if parser.rest():
        raise parser.unexpected()
    return node


class _Parser:
    """A recursive descent over the text; `at` is the place of the next character."""

    def __init__(self, text: str, names: Collection[str]) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        usable = [name for name in names if name.strip() == name and not _NUMBER.fullmatch(name)]
        self.names = sorted(filter(None, usable), key=len, reverse=True)

    def rest(self) -> str:
        """What is left, from the next character that is no space."""
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1
        return self.text[self.at :]

    def join(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise wrong(self.at + 1, f"more than {_MAX_DEPTH} brackets in each other")
        node = self.sum()
        while self.rest().startswith(","):
            node = self._binary(node, self.sum)
        self.depth -= 1
        return node

    def sum(self) -> Node:
        node = self.product()
        while self.rest()[:1] in ("+", "-"):
            node = self._binary(node, self.product)
        return node

    def product(self) -> Node:
        node = self.unary()
        while sign := self.rest()[:1]:
            if sign in "*/":
                node = self._binary(node, self.unary)
            elif sign == ":":
                node = self._shaped(node)
            else:
                break
        return node

    def unary(self) -> Node:
        signs: list[int] = []
        while self.rest()[:1] in ("+", "-"):
            signs += [self.at + 1] if self.text[self.at] == "-" else []
            self.at += 1
        node = self.operand()
        for column in reversed(signs):
            node = Number(-node.value, column) if isinstance(node, Number) else Negative(node, column)
        return node

    def operand(self) -> Node:
        rest, column = self.rest(), self.at + 1
        if rest.startswith("("):
            return self._bracket(column)
        if rest[:1] in ("'", '"'):
            return Text(self._quoted(rest[0], "text"), column)
        if name := self._known_name():  # before the brackets: tokens of other programs are called <cat-toy>
            return Word(name, column)
        if rest.startswith("<"):
            return self._angled(rest, column)
        for pattern in (_PATH, _NUMBER, _WORD):
            if found := pattern.match(self.text, self.at):
                self.at = found.end()
                return Number(float(found[0]), column) if pattern is _NUMBER else Word(found[0], column)
        raise self.unexpected("a word, a 'quoted text', a number or '('")

    def unexpected(self, expected: str = "one of + - * / : , or the end") -> BadOption:
        """The error for what stands here."""
        rest, column = self.rest(), self.at + 1
        if not rest:
            return wrong(column, "the expression ends here", expected=expected)
        if rest.startswith("="):
            return wrong(
                column, "'='", next_move="Put brackets around what it shall act on: (a + b)*0.5 for a + b =* 0.5"
            )
        advice = "Write a word with spaces or signs in it as <the word>" if rest[0].isalnum() else ""
        return wrong(column, repr(rest[:1]), expected=expected, next_move=advice)

    def _binary(self, left: Node, read_right: Callable[[], Node]) -> Node:
        sign, column = self.text[self.at], self.at + 1
        self.at += 1
        return Binary(sign, left, read_right(), column)

    def _shaped(self, operand: Node) -> Node:
        column = self.at + 1
        self.at += 1
        found = _WHOLE.match(self.rest())
        if found is None:
            raise wrong(
                self.at + 1, f"{self.rest()[:8]!r} after ':'", expected="a number of vectors, as in word:2 or word:+1"
            )
        self.at += found.end()
        sign = ":+" if found[0][0] in "+-" else ":"
        return Shaped(sign, operand, int(found[0]), column)

    def _bracket(self, column: int) -> Node:
        self.at += 1
        node = self.join()
        if not self.rest().startswith(")"):
            if self.rest():
                raise self.unexpected("one of + - * / : , or ')'")
            raise wrong(column, "'(' is never closed", expected="a ')'")
        self.at += 1
        return node

    def _quoted(self, quote: str, what: str) -> str:
        end = self.text.find(quote, self.at + 1)
        if end < 0:
            raise wrong(self.at + 1, f"a {what} that is never closed", expected=f"a closing {quote}")
        inner = self.text[self.at + 1 : end]
        self.at = end + 1
        return inner

    def _angled(self, rest: str, column: int) -> Node:
        if rest[1:2] in ("'", '"'):
            raise wrong(
                column, "'<' before a text", next_move="Leave out the < > that a prompt has around an expression"
            )
        name = self._quoted(">", "word in < >").strip()
        if not name:
            raise wrong(column, "'<>'", expected="a word between < and >")
        return Word(name, column)

    def _known_name(self) -> str | None:
        for name in self.names:
            end = self.at + len(name)
            if self.text[self.at : end].lower() == name.lower() and _END.match(self.text, end):
                self.at = end
                return name
        return None
