"""A request read: which texts a picture's prompts are at which model call, laid out for every tokenizer. No torch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pseudoword.conditioning.guidance import PromptOptions
from pseudoword.conditioning.hints import Lexicon
from pseudoword.conditioning.matching import Index
from pseudoword.conditioning.reader import Layout, Reader
from pseudoword.prompts.attention import verbatim, weigh
from pseudoword.prompts.edits import Clock
from pseudoword.prompts.prompt import Part, Prompt, parse
from pseudoword.prompts.syntax import Note, Token

_MOST_ALIKE = 3
"""Notes with the same words that are told one by one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedText:
    """One of the texts that a part is while a picture is drawn."""

    layouts: tuple[Layout, ...]
    """For every text encoder."""
    count: int
    """In how many stretches of the schedule it stands."""
    blank: bool

    @property
    def num_chunks(self) -> int:
        """Chunks of the longest layout."""
        return max(len(layout.chunks) for layout in self.layouts)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedPart:
    """The negative prompt, or one part of the prompt, over the calls of one pass."""

    texts: tuple[PlannedText, ...]
    stretches: tuple[tuple[int, int], ...]
    """(last call, index of the text), in rising order."""

    @property
    def num_chunks(self) -> int:
        """Of its longest text: the others are filled up with empty chunks, as upstream does within a schedule."""
        return max(text.num_chunks for text in self.texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """Both prompts over all passes; in each pass the negative prompt comes first."""

    passes: tuple[tuple[PlannedPart, ...], ...]
    weights: tuple[float, ...]
    words: tuple[str, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Reading:
    """What stays the same for all texts of a request."""

    readers: Sequence[Reader]
    lexicon: Lexicon
    indices: Sequence[Index]
    options: PromptOptions

    def read(self, tokens: Sequence[Token]) -> tuple[tuple[Layout, ...], list[Note]]:
        notes: tuple[Note, ...] = ()
        if self.options.emphasis == "None":
            pieces = verbatim(tokens)
        else:
            pieces, notes = weigh(tokens)
        layouts = tuple(
            reader.lay_out(pieces, self.lexicon, index, self.options.comma_backtrack)
            for reader, index in zip(self.readers, self.indices, strict=True)
        )
        return layouts, [*notes, *layouts[0].notes]


def read_request(
    readers: Sequence[Reader],
    prompts: tuple[str, str],
    places: Mapping[str, int],
    options: PromptOptions,
    *,
    num_calls: int,
    num_steps: int,
    hires_calls: int = 0,
) -> Request:
    """Read prompt and negative prompt (in this order) with words of so many vectors; see `Conditioner.guide`."""
    reading = _Reading(readers, Lexicon.of(places), [reader.index(places) for reader in readers], options)
    positive, negative = parse(prompts[0]), parse(prompts[1], several=False)
    clocks = [Clock(num_calls)] + ([Clock(hires_calls, num_calls)] if hires_calls else [])
    notes: dict[str, list[Note]] = {"": [*positive.notes], "negative prompt, ": [*negative.notes]}
    passes: list[tuple[PlannedPart, ...]] = []
    for clock in clocks:
        planned = [_plan(negative.parts[0], clock, reading, notes["negative prompt, "])]
        planned += [_plan(part, clock, reading, notes[""]) for part in positive.parts]
        passes.append(tuple(planned))
    notes[""] += _counted_calls(positive, num_calls, num_steps)
    told = [
        where + sentence
        for (where, found), text in zip(notes.items(), prompts, strict=True)
        for sentence in _told(found, text)
    ]
    return Request(
        passes=tuple(passes),
        weights=tuple(part.weight for part in positive.parts),
        words=tuple(dict.fromkeys(_words(passes))),
        warnings=tuple(dict.fromkeys(told)),
    )


def _told(notes: Sequence[Note], text: str) -> Iterator[str]:
    """Each note once; of those that say the same in many places the first few, and how many there are."""
    places: dict[str, list[Note]] = {}
    for note in dict.fromkeys(notes):
        places.setdefault(note.message, []).append(note)
    shown = {note for own in places.values() for note in own[:_MOST_ALIKE]}
    for note in dict.fromkeys(notes):
        if note in shown:
            own = places[note.message]
            more = f" (and {len(own) - _MOST_ALIKE} more)" if len(own) > _MOST_ALIKE == own.index(note) + 1 else ""
            yield note.told(text) + more


def _plan(part: Part, clock: Clock, reading: _Reading, notes: list[Note]) -> PlannedPart:
    numbers: dict[tuple[Token, ...], int] = {}
    stretches: list[tuple[int, int]] = []
    for stretch in part.over(clock):
        number = numbers.setdefault(stretch.tokens, len(numbers))
        stretches.append((stretch.end, number))
    taken = [number for _, number in stretches]
    texts: list[PlannedText] = []
    for tokens, number in numbers.items():
        layouts, found = reading.read(tokens)
        notes += found
        blank = not any(token.text.strip() for token in tokens)
        texts.append(PlannedText(layouts=layouts, count=taken.count(number), blank=blank))
    return PlannedPart(texts=tuple(texts), stretches=tuple(stretches))


def _counted_calls(prompt: Prompt, num_calls: int, num_steps: int) -> list[Note]:
    if num_calls == num_steps:
        return []
    return [
        Note(
            part.tokens[opening].offset,
            f"{group.when} counts model calls, of which this sampler makes {num_calls} in {num_steps} steps",
        )
        for part in prompt.parts
        for opening, group in part.groups.items()
        if group.when is not None and "." not in group.when
    ]


def _words(passes: Sequence[Sequence[PlannedPart]]) -> Iterator[str]:
    """Those of the prompt's parts first, then the negative prompt's."""
    for own in passes:
        for part in (*own[1:], own[0]):
            for text in part.texts:
                yield from text.layouts[0].words
