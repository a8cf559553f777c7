"""A position that our fills took through zero."""

from decimal import Decimal

import msgspec
import pytest

from sureclose.domain.flip import flipped_by_us
from tests.services.living import ended


@pytest.mark.parametrize(
    ("before", "filled", "after", "ours"),
    [
        (10, 10, 0, False),
        (10, 4, 6, False),
        (10, 15, -5, True),
        (-10, 15, 5, True),
        (10, 10, -5, False),
        (10, 20, -5, True),
        (10, 0, -10, False),
    ],
    ids=[
        "flat",
        "a part",
        "long to short",
        "short to long",
        "others sold what went below zero",
        "others bought meanwhile, and we sold more still",
        "nothing of ours was filled",
    ],
)
def test_a_flip_is_ours_only_where_nothing_else_explains_it(
    before: int, filled: int, after: int, ours: bool
) -> None:
    report = msgspec.structs.replace(
        ended("plan"),
        position_before=Decimal(before),
        filled_qty=Decimal(filled),
        position_after=Decimal(after),
    )
    assert flipped_by_us(report) is ours


def test_what_was_not_read_is_no_flip() -> None:
    assert not flipped_by_us(msgspec.structs.replace(ended("plan"), position_after=None))
