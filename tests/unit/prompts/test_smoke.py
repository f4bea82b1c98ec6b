"""Replaced below by the tables of the reference."""

from pseudoword.prompts.attention import weigh
from pseudoword.prompts.prompt import parse
from pseudoword.prompts.syntax import Text


def test_a_weight_is_read():
    (part,) = parse("a (red:1.2) cat").parts
    assert weigh(part.tokens)[0] == (Text("a "), Text("red", 1.2), Text(" cat"))
