"""Layers of authors who never saw the bank: the right ones keep the laws, the wrong ones do not."""

import pytest
from testing.held_out import AUTHORS, mistakes

from backprop.testing import check_layer


def name_of(author):
    return author.right.__name__


@pytest.mark.parametrize("author", AUTHORS, ids=name_of)
def test_what_an_author_got_right_keeps_the_laws(author):
    report = check_layer(
        author.right,
        author.inputs,
        configs=author.configs,
        tags=author.tags,
        profile="quick",
    )

    assert report, report


@pytest.mark.slow
def test_most_of_what_authors_got_wrong_is_found():
    missed = []
    for cls, author in mistakes():
        report = check_layer(cls, author.inputs, configs=author.configs, tags=author.tags)
        if report:
            missed.append(cls.__name__)

    assert len(missed) <= 4, missed
