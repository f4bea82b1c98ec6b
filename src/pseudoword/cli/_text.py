"""Foreign words on a terminal: names and keys of files that others made are shown, never obeyed."""

from rich.markup import escape


def printable(text: object) -> str:
    """A text without what a terminal would take for a command; unprintable characters become �."""
    return "".join(letter if letter.isprintable() else "�" for letter in str(text))


def shown(text: object) -> str:
    """The same for rich, which also takes words in brackets for commands."""
    return escape(printable(text))
