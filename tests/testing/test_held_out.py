"""Layers of authors who never saw the bank: the right ones keep the laws, the wrong ones do not."""

import pytest
from testing import held_out, held_out_again

MISSED = {held_out: 4, held_out_again: 48}  # at most


def name_of(author):
    return author.right.__name__


@pytest.mark.parametrize("author", held_out.AUTHORS, ids=name_of)
def test_what_an_author_got_right_keeps_the_laws(author):
    report = author.report(author.right, profile="quick")

    assert report, report


@pytest.mark.slow
@pytest.mark.parametrize("author", held_out_again.AUTHORS, ids=name_of)
def test_what_was_right_among_what_was_to_get_past_them_keeps_the_laws(author):
    report = author.report(author.right)

    assert report, report


@pytest.mark.slow
@pytest.mark.parametrize("those", MISSED, ids=lambda those: those.__name__)
def test_most_of_what_authors_got_wrong_is_found(those):
    missed = [cls.__name__ for cls, author in those.AUTHORS.mistakes() if author.report(cls)]

    assert len(missed) <= MISSED[those], missed
