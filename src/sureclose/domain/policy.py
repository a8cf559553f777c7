"""The numbers that the rules of one effect use."""

import msgspec


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers that the rules of one effect use; all times in milliseconds.

    ``margin`` is added to a deadline before a not-found answer counts, for an order can be queued inside the venue;
    ``spread`` is how far apart the counted answers must lie. ``park_after`` is how long a contradiction must stand,
    past the deadline, before a person is asked: longer than any read lag, so that a fault alone never parks.
    """

    account: str
    client_order_id_prefix: str = "sc-"
    max_age: int = 60_000
    margin: int = 1_000
    spread: int = 1_000
    not_found_answers: int = 3
    park_after: int = 60_000
    setbacks: int = 60
    first_wait: int = 50
    longest_wait: int = 1_000
