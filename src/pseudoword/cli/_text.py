"""Foreign words on a terminal: names and keys of files that others made are shown, never obeyed."""

from rich.markup import escape


def shown(text: object) -> str:
    """A text without what a terminal or rich would take for a command; unprintable characters become �."""
    return escape("".join(letter if letter.isprintable() else "�" for letter in str(text)))
