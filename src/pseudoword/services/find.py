"""Find embeddings that others share, on both services at once; loads no torch."""

from dataclasses import dataclass

from pseudoword.errors import BadOption, Unreachable
from pseudoword.families import FAMILIES
from pseudoword.hub import PATIENCE, Found, Patience, Wire
from pseudoword.hub.options import SOURCES, FindOptions
from pseudoword.hub.ranking import rank
from pseudoword.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Finds:
    """The outcome of a search."""

    found: tuple[Found, ...]
    problems: tuple[str, ...] = ()
    """Why a service is missing from it, where another one answered."""


def find(options: FindOptions, settings: Settings, patience: Patience = PATIENCE) -> Finds:
    """Search the services, best first.

    Raises:
        BadOption: an unknown source or family, no words, or a limit out of range.
        Unreachable: none of the services that were asked answered.
        MissingExtra: httpx is not installed.
    """
    words = _check_search(options)
    found: list[Found] = []
    problems: list[Unreachable] = []
    asked = [source for source in SOURCES[1:] if options.source in ("all", source)]
    with Wire(settings.endpoints, patience) as wire:
        for source in asked:
            try:
                found += _search(wire, source, words)
            except Unreachable as problem:
                problems.append(problem)
    if len(problems) == len(asked):
        raise problems[0]
    ranked = rank(found, words, family=options.family, limit=options.limit)
    return Finds(found=tuple(ranked), problems=tuple(str(problem) for problem in problems))


def _check_search(options: FindOptions) -> str:
    families = [*(key for key in FAMILIES if key != "bundled"), "flux", "sd3"]
    words = " ".join(" ".join(options.words).split())
    if not words:
        raise BadOption("no words to look for", next_move="pseudoword find cat toy")
    if options.source not in SOURCES:
        raise BadOption(f"--source {options.source}", expected=", ".join(SOURCES))
    if options.family is not None and options.family not in families:
        raise BadOption(f"--family {options.family}", expected=", ".join(dict.fromkeys(families)))
    if not 1 <= options.limit <= 100:
        raise BadOption(f"--limit {options.limit}", expected="1 to 100")
    return words


def _search(wire: Wire, source: str, words: str) -> list[Found]:
    if source == "hub":
        from pseudoword.hub.huggingface import search_hub  # huggingface_hub takes a while to import

        return search_hub(wire, words)
    from pseudoword.hub.civitai import search_civitai

    return search_civitai(wire, words)
