"""The order of finds, against orders written down by hand."""

from pseudoword.hub import Found
from pseudoword.hub.ranking import rank


def found(name, source="hub", downloads=0, family=None):
    return Found(id=f"{source}:{name}", source=source, name=name, downloads=downloads, family=family, page="")


def names(finds):
    return [one.name for one in finds]


def test_the_name_itself_then_all_words_then_parts_then_some_then_none():
    finds = [found("dog", downloads=9000), found("toy dog", downloads=800), found("catalogue of toys"),
             found("a cat toy"), found("Cat_Toy")]  # fmt: skip
    assert names(rank(finds, "cat toy", limit=9)) == ["Cat_Toy", "a cat toy", "catalogue of toys", "toy dog", "dog"]


def test_services_take_turns_since_their_numbers_cannot_be_compared():
    finds = [found("cat a", "civitai", 9000), found("cat b", "civitai", 8000), found("cat c", "hub", 5),
             found("cat d", "hub", 70)]  # fmt: skip
    assert names(rank(finds, "cat", limit=9)) == ["cat a", "cat d", "cat b", "cat c"]
    assert names(rank(finds, "cat", limit=2)) == ["cat a", "cat d"]


def test_another_family_is_left_out_and_an_unknown_one_comes_last():
    finds = [found("cat a"), found("cat b", family="sdxl"), found("cats", family="sd1")]
    assert names(rank(finds, "cat", family="sd1", limit=9)) == ["cats", "cat a"]
