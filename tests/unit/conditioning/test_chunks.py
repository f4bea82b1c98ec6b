"""Chunks of 75: the reference's examples, and a place-by-place second implementation without the record bug."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pseudoword.conditioning.chunks import Item, fill_chunks
from pseudoword.conditioning.matching import Placement

COMMA = 267


def items(*pieces):
    return [Item(piece) for piece in pieces]


def words(number):
    return list(range(1000, 1000 + number))


def filled(pieces, backtrack=20):
    return [[item.piece for item in chunk] for chunk in fill_chunks(items(*pieces), COMMA, backtrack)]


def test_an_empty_text_is_one_empty_chunk():
    assert filled([]) == [[]]


def test_a_chunk_of_exactly_75_is_full_and_makes_no_empty_one():
    assert [len(chunk) for chunk in filled(words(75))] == [75]
    assert [len(chunk) for chunk in filled(words(76))] == [75, 1]


def test_an_embedding_that_does_not_fit_begins_the_next_chunk():
    word = Placement("w", 8)
    assert filled([*words(70), word, 99]) == [words(70), [word, 99]]  # [R] 70 | 8 and what follows


def test_what_follows_a_near_comma_moves_on_when_the_chunk_is_full():
    pieces = [*words(60), COMMA, *words(14), 7, 8]
    assert filled(pieces) == [[*words(60), COMMA], [*words(14), 7, 8]]


@pytest.mark.parametrize(("before", "moves"), [(54, False), (55, True)])  # comma 21 or 20 places back
def test_a_comma_is_near_up_to_the_setting(before, moves):
    pieces = [*words(before), COMMA, *words(74 - before), 7]
    first = filled(pieces)[0]
    assert len(first) == (before + 1 if moves else 75)


def test_a_comma_that_comes_next_starts_the_next_chunk_and_nothing_moves():
    pieces = [*words(70), COMMA, *words(4), COMMA, 5]
    assert [len(chunk) for chunk in filled(pieces)] == [75, 2]


def test_a_setting_of_0_moves_nothing():
    assert [len(chunk) for chunk in filled([*words(70), COMMA, *words(5)], backtrack=0)] == [75, 1]


def test_an_embedding_after_the_comma_moves_whole():
    # upstream moves the places, leaves the record behind and so puts copies of token 0 into the next chunk
    word = Placement("w", 8)
    assert filled([*words(60), COMMA, word, *words(6), 7]) == [[*words(60), COMMA], [word, *words(6), 7]]


def test_an_embedding_of_exactly_75_fills_a_chunk():
    word = Placement("w", 75)
    assert filled([1, word, 2]) == [[1], [word], [2]]


def test_more_than_75_vectors_begin_a_chunk_and_go_on_in_the_next():
    parts = [Placement("w", 75), Placement("w", 75, 75), Placement("w", 10, 150)]
    assert filled([1, Placement("w", 160), 2]) == [[1], [parts[0]], [parts[1]], [parts[2], 2]]


@pytest.mark.parametrize(
    ("pieces", "expected"),
    [
        ([1, None, 2], [[1], [2]]),
        ([1, None], [[1]]),  # [R] a trailing one makes no extra chunk
        ([None, 1], [[], [1]]),
        ([1, None, None, 2], [[1], [], [2]]),
        ([*words(75), None, 1], [words(75), [1]]),
        ([*words(60), COMMA, 1, None, *words(75), 2], [[*words(60), COMMA, 1], words(75), [2]]),
    ],
)
def test_break(pieces, expected):
    assert filled(pieces) == expected


def by_places(pieces, backtrack, limit=75):
    """The rules of a1111.md §2.4 on single places; a vector of a word is the pair (word's number, vector)."""
    chunks, chunk, comma = [], [], None
    for number, piece in enumerate(pieces):
        size = piece.num_vectors if isinstance(piece, Placement) else 1
        if len(chunk) == limit:
            near = comma is not None and piece != COMMA and backtrack and limit - comma <= backtrack
            cut = comma + 1 if near else limit
            chunks.append(chunk[:cut])
            chunk, comma = chunk[cut:], None
        if len(chunk) + size > limit:
            chunks.append(chunk)
            chunk, comma = [], None
        if piece == COMMA:
            comma = len(chunk)
        chunk = chunk + ([(number, i) for i in range(size)] if isinstance(piece, Placement) else [piece])
    return [*chunks, chunk] if chunk or not chunks else chunks


PIECES = st.lists(
    st.sampled_from([1, 2, COMMA]) | st.integers(1, 75).map(lambda n: Placement("w", n))
    | st.just(Placement("w", 3)), max_size=60,
)  # fmt: skip


@given(PIECES, st.integers(0, 74), st.lists(st.integers(1, 30), max_size=8))
def test_places_are_where_the_rules_put_them_and_no_word_is_cut(pieces, backtrack, runs):
    long = [piece for piece, run in zip(pieces, runs, strict=False) for _ in range(run)] + pieces
    numbered = [
        Item(Placement(str(i), p.num_vectors)) if isinstance(p, Placement) else Item(p) for i, p in enumerate(long)
    ]
    chunks = fill_chunks(numbered, COMMA, backtrack)
    found = []
    for chunk in chunks:
        places = []
        for item in chunk:
            word = item.piece
            places += [(int(word.word), i) for i in range(word.num_vectors)] if isinstance(word, Placement) else [word]
        found.append(places)
    assert found == by_places(long, backtrack)
    assert [item for chunk in chunks for item in chunk] == numbered
