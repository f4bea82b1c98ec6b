"""Which icons the denoiser learns: concepts that several sets share, less what it could not draw; a table.

Left out are signs, letters, clocks, buttons, families, gestures, and small things that no eight-pixel latent
shows: fewer concepts, each seen often, teach shapes sooner than many. The rules leave 839 concepts with 5,416
pictures of the eight sets. `FELL_OUT` keeps what the first version's filter dropped by accident, so that the
table says what the shipped model saw; take names out of it for the next one.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

BEGINNINGS = (
    *("man-", "woman-", "men-", "women-", "person-", "people-", "couple-", "family-", "kiss-", "children-"),
    *(
        "pregnant-",
        "japanese-",
        "letter-",
        "input-",
        "keycap-",
        "mahjong-",
        "no-",
        "globe-showing-",
        "one-piece-",
    ),
    *("backhand-", "index-pointing-", "closed-mailbox-", "open-mailbox-", "heavy-"),
    *("left-", "right-", "leftwards-", "rightwards-", "up-", "down-"),
)
ENDINGS = (
    *(
        "-oclock",
        "-thirty",
        "-button",
        "-arrow",
        "-arrows",
        "-flag",
        "-flags",
        "-sign",
        "-symbol",
        "-blood-type",
    ),
    *("-circle", "-square", "-diamond", "-medal", "-wheelchair", "-monkey", "-worker"),
)
WITHIN = (
    *("-arrow-", "wheelchair", "-facing-", "gibbous-moon", "quarter-moon", "speech-bubble", "-medium-"),
    "-pointed-",
)

_SIGNS = """
antenna-bars aquarius aries baggage-claim biohazard bookmark-tabs building-construction bus-stop cancer
capricorn cinema circled-m construction copyright curly-loop currency-exchange customs dashing-away divide
double-curly-loop double-exclamation-mark dvd e-mail eight-spoked-asterisk exclamation-question-mark
fleur-de-lis gemini hamsa heart-decoration heart-exclamation hot-springs hundred-points identification-card
infinity information kaaba khanda latin-cross left-luggage leo libra link low-battery menorah mens-room
metro moon-viewing-ceremony multiply minus name-badge non-potable-water om ophiuchus orthodox-cross
part-alternation-mark passport-control pisces place-of-worship placard plus potable-water prohibited
radioactive registered restroom sagittarius scorpio star-and-crescent star-of-david taurus trade-mark
trident-emblem vibration-mode virgo warning water-closet wavy-dash wheel-of-dharma white-exclamation-mark
white-question-mark wireless womens-room x-ray yin-yang zzz diamond-with-a-dot map-of-japan
"""
_PEOPLE_AND_HANDS = """
biting-lip breast-feeding bust-in-silhouette busts-in-silhouette call-me-hand clapping-hands detective
dotted-line-face ear-with-hearing-aid farmer folded-hands footprints goblin guard hair-pick
hand-with-fingers-splayed hand-with-index-finger-and-thumb-crossed handshake head-shaking-horizontally
head-shaking-vertically heart-hands judge leg love-you-gesture mechanic mechanical-arm mechanical-leg
middle-finger mrs-claus mx-claus ogre ok-hand oncoming-fist open-hands palm-down-hand palm-up-hand
palms-up-together pinching-hand raised-back-of-hand raised-fist raised-hand raising-hands scientist selfie
singer speaking-head student teacher technologist victory-hand waving-hand writing-hand
"""
_FOOD_AND_NATURE = """
beans butter chestnut coral custard dango dodo falafel fish-cake-with-swirl flatbread fondue ginger-root
mammoth mate oden olive pea-pod rice-cracker shallow-pan-of-food stuffed-flatbread tamale bubbles
drop-of-blood hole sweat-droplets dna microbe lungs anatomical-heart
"""
_VEHICLES_AND_PLACES = """
aerial-tramway articulated-lorry convenience-store department-store derelict-house fuel-pump light-rail
love-hotel minibus monorail motorway mountain-cableway mountain-railway office-building oncoming-automobile
oncoming-bus oncoming-police-car oncoming-taxi post-office railway-car railway-track station
suspension-railway tram-car trolleybus kick-scooter
"""
_THINGS = """
abacus admission-tickets alembic balance-scale ballet-shoes bar-chart barber-pole bellhop-bell bikini bomb
briefs broken-chain bucket card-file-box card-index card-index-dividers carp-streamer chains chess-pawn
cigarette clamp coffin control-knobs crutch diya-lamp euro-banknote film-frames flower-playing-cards flute
folding-hand-fan funeral-urn headstone hook hourglass-not-done inbox-tray incoming-envelope joker kimono
kitchen-knife ledger level-slider linked-paperclips lotion-bottle maracas martial-arts-uniform
military-helmet moai mouse-trap nazar-amulet nesting-dolls nut-and-bolt outbox-tray page-with-curl
petri-dish pine-decoration pistol plunger pound-banknote prayer-beads razor receipt red-envelope
reminder-ribbon rolled-up-newspaper rosette safety-vest sari spiral-notepad sponge tanabata-tree
tear-off-calendar thong-sandal timer-clock trackball water-pistol wind-chime yen-banknote
"""
FELL_OUT = frozenset(("curry-rice", "diamond-suit", "disappointed-face", "palm-tree"))
DROPPED = FELL_OUT | frozenset(
    " ".join((_SIGNS, _PEOPLE_AND_HANDS, _FOOD_AND_NATURE, _VEHICLES_AND_PLACES, _THINGS)).split()
)

_NUMBER = re.compile(r"-\d+$")


def without_number(name: str) -> str:
    """`cloud-1` → `cloud`: a set's second drawing of a thing is the same concept."""
    return _NUMBER.sub("", name)


def is_dropped(name: str) -> bool:
    """Whether the table leaves a name out."""
    return (
        name in DROPPED or name.startswith(BEGINNINGS) or name.endswith(ENDINGS) or any(part in name for part in WITHIN)
    )


def shared_concepts(names: Mapping[str, Sequence[str]], shared_by: int) -> frozenset[str]:
    """The concepts that at least `shared_by` of the sets draw; `names` maps a set to its icons' names."""
    count: Counter[str] = Counter()
    for of_one_set in names.values():
        count.update({without_number(name) for name in of_one_set})
    return frozenset(name for name, sets in count.items() if sets >= shared_by and not is_dropped(name))


def concept_of(name: str, concepts: frozenset[str], glued: Mapping[str, str] | None = None) -> str | None:
    """The concept an icon shows, or None; `glued` maps `redapple` to `red-apple` for sets without dashes."""
    plain = without_number(name)
    if plain in concepts:
        return plain
    return glued.get(plain) if glued else None


def glued_names(concepts: frozenset[str]) -> dict[str, str]:
    """Concept by its name without dashes."""
    return {name.replace("-", ""): name for name in sorted(concepts)}
