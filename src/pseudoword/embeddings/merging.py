"""Works an expression's tree out into tables of vectors. Pure: what words and texts stand for is handed in.

Values are numbers or tables. Numbers scale tables; a sum or a joining of a number and a table has no meaning here
and is refused. Every error names the column that it is about.
"""

from collections.abc import Callable

import torch

from pseudoword.embeddings import arithmetic
from pseudoword.embeddings.expression import Binary, Negative, Node, Number, Shaped, Text, Word, wrong
from pseudoword.errors import BadInput

Tables = dict[str, torch.Tensor]
Lookup = Callable[[Text | Word], arithmetic.Tables]
"""A leaf of the tree → its vectors; raises BadInput."""


def merge(node: Node, lookup: Lookup) -> Tables:
    """The vectors of an expression, in float64.

    Args:
        node: from `expression.parse`.
        lookup: called once for every text and word, in the order of the expression.

    Raises:
        BadOption: numbers where vectors are needed, a division by zero, or too many vectors.
        WrongFamily: parts that were made for different text encoders.
        BadInput: as `lookup` says.
    """
    value = _value(node, lookup)
    if not isinstance(value, dict):
        raise wrong(node.column, "the expression is a number", expected="at least one word or 'text' in it")
    return value


def _value(node: Node, lookup: Lookup) -> Tables | float:
    """Goes down the left side in a loop, so that a long sum does not nest."""
    ups: list[Binary | Negative | Shaped] = []
    while isinstance(node, Binary | Negative | Shaped):
        ups.append(node)
        node = node.left if isinstance(node, Binary) else node.operand
    value = node.value if isinstance(node, Number) else _at(node.column, lambda: arithmetic.widened(lookup(node)))
    for up in reversed(ups):
        value = _applied(up, value, lookup)
    return value


def _applied(node: Binary | Negative | Shaped, value: Tables | float, lookup: Lookup) -> Tables | float:
    if isinstance(node, Binary):
        return _combined(node, value, _value(node.right, lookup))
    if isinstance(node, Negative):
        return arithmetic.scaled(value, -1) if isinstance(value, dict) else -value
    if not isinstance(value, dict):
        raise wrong(node.column, "':' behind a number", expected="a word or a 'text' before it")
    change = arithmetic.resized if node.sign == ":" else arithmetic.turned
    return _at(node.column, lambda: change(value, node.number))


def _combined(node: Binary, left: Tables | float, right: Tables | float) -> Tables | float:
    if node.sign in "*/":
        return _scaled(node, left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        if node.sign == ",":
            return _at(node.column, lambda: arithmetic.joined(left, right))
        other = right if node.sign == "+" else arithmetic.scaled(right, -1)
        return _at(node.column, lambda: arithmetic.added(left, other))
    if isinstance(left, dict) or isinstance(right, dict) or node.sign == ",":
        raise wrong(
            node.column,
            f"{node.sign!r} where one side is a number",
            expected="words or 'texts' on both sides",
            next_move="Use * to scale vectors by a number",
        )
    return left + right if node.sign == "+" else left - right


def _scaled(node: Binary, left: Tables | float, right: Tables | float) -> Tables | float:
    if isinstance(right, dict):
        if isinstance(left, dict) or node.sign == "/":
            what = "a product of vectors and vectors" if node.sign == "*" else "a division by vectors"
            raise wrong(node.column, what, expected="a number on the right side")
        return arithmetic.scaled(right, left)
    if node.sign == "/" and right == 0:
        raise wrong(node.column, "a division by zero")
    factor = 1 / right if node.sign == "/" else right
    return arithmetic.scaled(left, factor) if isinstance(left, dict) else left * factor


def _at(column: int, work: Callable[[], Tables]) -> Tables:
    try:
        return work()
    except BadInput as problem:
        if problem.got.startswith("expression, column"):
            raise
        raise type(problem)(
            f"expression, column {column}: {problem.got}", expected=problem.expected, next_move=problem.next_move
        ) from problem
