"""One order for the finds of two services whose numbers cannot be compared.

The hub counts the downloads of 30 days, Civitai all there ever were. So within a service more downloads come first,
and the services take turns; above both stands how well the name fits the words.
"""

import re
from collections.abc import Iterable

from pseudoword.hub.values import Found


def rank(found: Iterable[Found], words: str, *, family: str | None = None, limit: int) -> list[Found]:
    """The best `limit` finds.

    Args:
        found: of any services, each id once.
        words: what the user looks for.
        family: those of another family are left out; those of which it is not known are kept, at the end.
        limit: how many at most.
    """
    wanted = [word.lower() for word in re.findall(r"[^\W_]+", words)]
    fitting = [one for one in found if family is None or one.family in (None, family)]
    by_downloads = sorted(fitting, key=lambda one: -(one.downloads or 0))
    turns: dict[tuple[int, str], int] = {}
    placed: list[tuple[tuple[int, int, int, str], Found]] = []
    for one in by_downloads:
        tier = _tier(one, wanted)
        turn = turns[tier, one.source] = turns.get((tier, one.source), 0) + 1
        unknown = int(family is not None and one.family is None)
        placed.append(((unknown, tier, turn, one.source), one))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])][:limit]


def _tier(one: Found, words: list[str]) -> int:
    """0 the name is the words, 1 has all of them, 2 has them as parts of its own, 3 some, 4 none of them."""
    own = [word.lower() for word in re.findall(r"[^\W_]+", one.name)]
    joined = " ".join(own)
    held = sum(word in joined for word in words)
    if "".join(own) == "".join(words):
        tier = 0
    elif held < len(words):
        tier = 3 if held else 4
    else:
        tier = 1 if set(words) <= set(own) else 2
    return tier
