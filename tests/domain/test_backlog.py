"""The account of a backlog: as small for a hundred thousand entries as for ten."""

from sureclose.domain.backlog import MOST_WORDS, OLDER, OTHER_WORDS, Tally, age_group


def test_an_account_grows_with_kinds_and_not_with_entries() -> None:
    tally = Tally()
    for number in range(10_000):
        tally.add({"not_approved": 1}, {"expired": 1}, {f"word{number}" * 9: 1, "SKIP": 1})
        tally.aged([number, 2 * number], now=10**12)
    assert tally.entries == 10_000
    assert tally.classes == {"not_approved": 10_000}
    assert len(tally.words) == MOST_WORDS + 1
    assert tally.words["SKIP"] == 10_000
    assert sum(tally.words.values()) == 20_000
    assert tally.words[OTHER_WORDS] > 9_000
    assert (tally.oldest, tally.newest, tally.ages) == (0, 2 * 9_999, {OLDER: 20_000})


def test_an_age_has_the_narrowest_group_that_holds_it() -> None:
    ages = [0, 60_000, 60_001, 3_600_000, 86_400_000, 604_800_000, 604_800_001]
    assert [age_group(age) for age in ages] == [
        "up to 1 minute",
        "up to 1 minute",
        "up to 1 hour",
        "up to 1 hour",
        "up to 1 day",
        "up to 1 week",
        OLDER,
    ]
