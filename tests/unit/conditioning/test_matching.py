"""Triggers in token ids: examples with known answers, and what must hold for any input."""

from hypothesis import given
from hypothesis import strategies as st

from pseudoword.conditioning.matching import Placement, Trigger, find_words, index_triggers, words_in

FOO = Trigger("foo", (5,), 2)
FOO_BAR = Trigger("foo bar", (5, 6), 3)


def find(ids, triggers):
    return find_words(ids, index_triggers(triggers))


def test_a_trigger_is_replaced_where_all_its_ids_stand():
    assert find([1, 5, 6, 2], [FOO_BAR]) == [1, Placement("foo bar", 3), 2]
    assert find([1, 5, 2], [FOO_BAR]) == [1, 5, 2]


def test_the_longest_trigger_wins_whatever_the_order_of_loading():
    for triggers in ([FOO, FOO_BAR], [FOO_BAR, FOO]):
        assert find([5, 6, 5], triggers) == [Placement("foo bar", 3), Placement("foo", 2)]


def test_a_trigger_cut_off_by_the_end_does_not_match():
    assert find([1, 5], [FOO_BAR]) == [1, 5]


def test_words_are_told_once_in_order_of_appearance():
    assert words_in([Placement("b", 1), 3, Placement("a", 1), Placement("b", 1)]) == ["b", "a"]


@given(
    ids=st.lists(st.integers(0, 6), max_size=40),
    triggers=st.lists(
        st.builds(
            lambda ids, n: Trigger(str(ids), tuple(ids), n),
            st.lists(st.integers(0, 6), max_size=4),
            st.integers(1, 80),
        ),
        max_size=6,
        unique_by=lambda t: t.ids,
    ),
)
def test_putting_the_triggers_ids_back_gives_the_text_again(ids, triggers):
    ids_of = {trigger.word: trigger.ids for trigger in triggers}
    pieces = find(ids, triggers)
    back = []
    for piece in pieces:
        back += ids_of[piece.word] if isinstance(piece, Placement) else [piece]
    assert back == ids
