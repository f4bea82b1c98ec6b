"""One pass over a prompt's characters: comments and extra networks out, explicit words found, the rest cut up.

A backslash makes the next character plain, whatever it is. What this pass leaves are tokens with the places
where they stood, so that later stages never look at characters again and can still say where something is.
"""

import re
from dataclasses import dataclass, field

from pseudoword.prompts.syntax import Kind, Note, Token

_PLAIN = re.compile(r"[^\\()\[\]:|#<]+")
_SIGNS: dict[str, Kind] = {"(": "(", ")": ")", "[": "[", "]": "]", ":": ":", "|": "|"}
_NETWORK_TYPE = re.compile(r"<(\w+):")
_CALL = "embedding"
_NAME = re.compile(r"(?!\\<)(?:\\.|[^\s,()\[\]:|\\<>#])+", re.DOTALL)
_NUMBER_NAME = re.compile(r"[+-]?[\d.]+")
_SENTENCE_END = ".;!?"


@dataclass(slots=True)
class _ScanState:
    text: str
    position: int = 0
    tokens: list[Token] = field(default_factory=list[Token])
    notes: list[Note] = field(default_factory=list[Note])
    run: list[str] = field(default_factory=list[str])
    run_offset: int = 0
    no_closer: bool = False
    """There is no further `>`; remembered, or a row of `<a:` would cost a search each."""

    def plain(self, fragment: str, length: int) -> None:
        """Add characters that mean themselves, `length` long in the prompt."""
        if not self.run:
            self.run_offset = self.position
        self.run.append(fragment)
        self.position += length

    def token(self, kind: Kind, text: str, length: int) -> None:
        self.end_run()
        self.tokens.append(Token(kind, text, self.position))
        self.position += length

    def end_run(self) -> None:
        if self.run:
            self.tokens.append(Token("text", "".join(self.run), self.run_offset))
            self.run.clear()

    def closer(self) -> int:
        """Where the next `>` is, -1 without one."""
        found = -1 if self.no_closer else self.text.find(">", self.position)
        self.no_closer = found == -1
        return found


def scan(text: str) -> tuple[tuple[Token, ...], tuple[Note, ...]]:
    """Tokens of a prompt, and notes about what was left out. Linear in the length of the text."""
    state = _ScanState(text)
    while state.position < len(text):
        sign = text[state.position]
        if sign == "\\":
            _quoted(state)
        elif sign == "#":
            _comment(state)
        elif sign == "<":
            _angle(state)
        elif sign in _SIGNS:
            _bracket_or_colon(state, sign)
        else:
            match = _PLAIN.match(text, state.position)
            assert match is not None
            state.plain(match[0], len(match[0]))
    state.end_run()
    return tuple(state.tokens), tuple(state.notes)


def _quoted(state: _ScanState) -> None:
    following = state.text[state.position + 1 : state.position + 2]
    if following:
        state.token("quoted", following, 2)
    else:
        state.position += 1  # a backslash at the very end quotes nothing


def _comment(state: _ScanState) -> None:
    end = state.text.find("\n", state.position)
    length = (end + 1 if end != -1 else len(state.text)) - state.position
    state.plain("\n", length)


def _bracket_or_colon(state: _ScanState, sign: str) -> None:
    if sign != ":" or not _calls_word(state):
        state.token(_SIGNS[sign], sign, 1)


def _calls_word(state: _ScanState) -> bool:
    """ComfyUI's `embedding:name`, if that is what ends the current run; the token is made then."""
    run = "".join(state.run)
    match = _NAME.match(state.text, state.position + 1) if run.endswith(_CALL) else None
    if match is None or _is_letter(_before_call(state, run)):
        return False
    written = match[0]
    while written[-1:] in _SENTENCE_END and written[-2:-1] != "\\":
        written = written[:-1]
    name = re.sub(r"\\(.)", r"\1", written, flags=re.DOTALL)
    if not name.strip() or _NUMBER_NAME.fullmatch(name):
        return False  # `[embedding:5]` is prompt editing
    start = state.position - len(_CALL)
    state.run = [run[: -len(_CALL)]] if run != _CALL else []
    state.end_run()
    state.tokens.append(Token("word", name, start))
    state.position += 1 + len(written)
    return True


def _before_call(state: _ScanState, run: str) -> str:
    if run != _CALL:
        return run[-len(_CALL) - 1]
    previous = state.tokens[-1] if state.tokens else None
    return previous.text if previous is not None and previous.kind == "quoted" else ""


def _is_letter(character: str) -> bool:
    return character.isalnum() or character == "_"


def _angle(state: _ScanState) -> None:
    match = _NETWORK_TYPE.match(state.text, state.position)
    end = state.closer() if match is not None else -1
    if match is None or end <= match.end():
        state.token("quoted", "<", 1)  # plain, but kept apart so that what is removed around it makes no new one
        return
    if match[1] == _CALL and state.text.startswith("<", match.end()) and state.text.startswith(">", end + 1):
        end += 1  # `<embedding:<cat-toy>>`: the name has brackets of its own, as diffusers' words do
    whole, inner = state.text[state.position : end + 1], state.text[match.end() : end].strip()
    if match[1] == _CALL and inner:
        state.token("word", inner, len(whole))
        return
    if match[1] != _CALL:
        state.notes.append(Note(state.position, f"{shortened(whole)} is left out: only embeddings are used here"))
    state.position = end + 1


def shortened(text: str, longest: int = 60) -> str:
    """The text in quotes, cut where it is too long for a message."""
    return repr(text if len(text) <= longest else text[: longest - 1] + "…")
