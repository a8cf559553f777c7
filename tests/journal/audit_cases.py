"""Closes as an audit has them: driven against the model venue, joined with its books, with a record of who reigned."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from sureclose.domain.events import Decision, EntryRef
from sureclose.domain.facts import Admitted, AnyFact
from sureclose.journal.checking.audited import LinkedEntry, Minimum, Presence, Question, Reign, Unjoined
from sureclose.journal.checking.books import Books
from sureclose.journal.checking.case import Bounds
from sureclose.journal.checking.examination import Examination, Looked
from sureclose.journal.checking.questions import Material, epochs_of
from sureclose.journal.checking.stored import Stored
from sureclose.journal.checking.tracing import drafts, links, planned, traced
from tests.domain.scripts import START, Script
from tests.journal.verify_cases import ACCOUNT, NOW, Ledger, changed, driven, published, stored

COMPONENT: Final = "execution_service"
PREFIX: Final = "quantum:stream:"
CAUSES: Final = (
    EntryRef(f"{PREFIX}harvest.intent", "1-0"),
    EntryRef(f"{PREFIX}apply.plan", "2-0"),
)
"""The wish and the plan that a decision came by."""
FIRST: Final = Reign(
    epoch=1, owner="host:1:a", component=COMPONENT, at=START - 60_000, entry_id="1-0", restart=False
)
RESTART: Final = Reign(
    epoch=2, owner="host:2:b", component=COMPONENT, at=START + 60_000, entry_id="2-0", restart=True
)
MINIMUM: Final = Minimum(closes=1, restarts=1, exclusive_exits=False)


def caused(known: Sequence[AnyFact], causes: tuple[EntryRef, ...] = CAUSES, **more: Any) -> list[AnyFact]:
    """The facts with a decision that names the entries it came by, and says whatever else is to be said."""

    def named(admitted: Admitted) -> Admitted:
        decision: Decision = msgspec.structs.replace(admitted.decision, cause=causes, **more)
        return msgspec.structs.replace(admitted, decision=decision)

    return changed(known, Admitted, named)


def close(script: Script | None = None) -> tuple[Stored, Ledger]:
    """One close from wish to outcome, and the books of its venue."""
    history = driven(script)
    return stored(caused(history.journal.facts)), Ledger.of(history.world)


def material(
    *closes: Stored,
    books: Books,
    reigns: tuple[Reign, ...] = (FIRST, RESTART),
    minimum: Minimum = MINIMUM,
    presence: Presence = Presence.THERE,
    prefix: str = "sc-",
    **more: Any,
) -> Material:
    """What an audit would have read of these closes."""
    examination = Examination(ACCOUNT, NOW, Bounds(), books, complete=False)
    looked: list[Looked] = [examination.add(one) for one in closes]
    examination.know(published(*closes))
    by_epoch = epochs_of(reigns)
    orders, plans = [], []
    for one in looked:
        own = []
        for draft in drafts(one.case, books):
            entries = tuple(
                LinkedEntry(link=link, stream=ref.stream, entry_id=ref.entry_id, presence=presence)
                for link, ref in links(draft.refs)
            )
            reign = by_epoch.get(draft.attempt.sent.body.epoch)
            component = "" if reign is None else reign.component
            own.append(traced(draft, entries, component, "", chain_broken=one.broken))
        orders += own
        plans.append(planned(one.case, tuple(own), chain_broken=one.broken))
    known = {order.order.order_id for order in orders}
    strangers = [
        Unjoined(order=order)
        for order in books.orders
        if order.client_order_id.startswith(prefix) and order.order_id not in known
    ]
    return Material(
        component=more.pop("component", COMPONENT),
        checks=examination.report().checks,
        plans=tuple(plans),
        orders=tuple(orders),
        unjoined=tuple(strangers),
        foreign=more.pop("foreign", ()),
        reigns=reigns,
        probe=more.pop("probe", None),
        minimum=minimum,
        unread=more.pop("unread", ()),
    )


def told(question: Question) -> str:
    """All that it does not pass for."""
    return "\n".join(remark.what for remark in question.exceptions)
