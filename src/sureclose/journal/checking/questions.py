"""The audit's five questions, judged on what was read. Each passes on what there is to see, never on what is not there."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from sureclose.domain.authority import Component
from sureclose.domain.outcome import OutcomeKind
from sureclose.journal.checking.audited import (
    AuditedPlan,
    ForeignOrder,
    Link,
    Minimum,
    Probe,
    Question,
    Reduces,
    Reign,
    Remark,
    TracedOrder,
    Unjoined,
    Verdict,
)
from sureclose.journal.checking.findings import Against, Check, Rule

Key = tuple[Rule, Against]

ASKS: Final = (
    "only closes",
    "nothing unintended",
    "every order reducing",
    "every order traceable from event to fill",
    "a crash closes nothing",
)
_J, _E = Against.JOURNAL, Against.EXCHANGE
RULES: Final[tuple[frozenset[Key], ...]] = (
    frozenset({(Rule.I6, _J)}),
    frozenset(
        {
            (Rule.I1, _J),
            (Rule.I1, _E),
            (Rule.I2, _J),
            (Rule.I2, _E),
            (Rule.I4, _J),
            (Rule.I9, _E),
            (Rule.ONE_EFFECT, _J),
            (Rule.ONE_EFFECT, _E),
            (Rule.INTENT, _J),
        }
    ),
    frozenset({(Rule.I5, _J), (Rule.I5, _E)}),
    frozenset(
        {
            (Rule.CHAIN, _J),
            (Rule.SEGMENTS, _J),
            (Rule.FACTS, _J),
            (Rule.I3, _J),
            (Rule.I7, _J),
            (Rule.I7, _E),
        }
    ),
    frozenset(),
)
"""Which rules of the examination each question rests on: together all that there are."""

_PROVE: Final = "close something through this path: `sureclose prove` makes closes and a restart on warrants, then audit again"
_STRANGER: Final = (
    "find out who placed it: it carries our prefix; `sureclose reconcile` shows what the log lacks"
)
_TRACE: Final = "`sureclose trace PLAN` shows what there is of it"
_VERIFY: Final = "`sureclose verify PLAN --venue` shows the records that it rests on"


class Material(msgspec.Struct, frozen=True, kw_only=True):
    """What was read in the period. ``unread`` says what could not be read, and why."""

    component: str
    checks: tuple[Check, ...]
    plans: tuple[AuditedPlan, ...]
    orders: tuple[TracedOrder, ...]
    unjoined: tuple[Unjoined, ...]
    foreign: tuple[ForeignOrder, ...]
    reigns: tuple[Reign, ...]
    probe: Probe | None
    minimum: Minimum
    unread: tuple[str, ...]

    @property
    def own(self) -> tuple[TracedOrder, ...]:
        """What the audited component sent; others' orders are listed, and prove nothing of it."""
        return tuple(one for one in self.orders if one.component == self.component and not one.rebuilt)

    @property
    def confirmed(self) -> tuple[AuditedPlan, ...]:
        """Its confirmed closes, all of whose orders it sent itself."""
        return tuple(
            plan for plan in self.plans if plan.confirmed and set(plan.components) == {self.component}
        )

    @property
    def proven(self) -> tuple[AuditedPlan, ...]:
        """Those of them that are traced whole."""
        return tuple(plan for plan in self.confirmed if plan.whole)


def judge(material: Material) -> tuple[Question, ...]:
    """All five, in their order."""
    return (
        _only_closes(material),
        _nothing_unintended(material),
        _every_order_reducing(material),
        _traceable(material),
        _crash_closes_nothing(material),
    )


# The questions -----------------------------------------------------------------------------------------------------


def _only_closes(material: Material) -> Question:
    exceptions = [
        *_violations(material, 1),
        *(_of(order, order.unapproved, _VERIFY) for order in material.orders if order.unapproved),
        *(_nobodys(one, "belongs to no decision that was read") for one in material.unjoined),
    ]
    return _on_orders(material, 1, exceptions, list(_others(material)))


def _nothing_unintended(material: Material) -> Question:
    exceptions = [
        *_violations(material, 2),
        *(
            _nobodys(one, "carries our prefix, and the journal does not know it (I9)")
            for one in material.unjoined
            if not one.plan_id
        ),
    ]
    exceptions += map(_parked, (plan for plan in material.plans if plan.outcome == OutcomeKind.PARKED))
    foreign = list(map(_foreign, material.foreign))
    if material.minimum.exclusive_exits:
        reducing = [one.reduces is not Reduces.NO and not one.by for one in material.foreign]
        exceptions += [
            msgspec.structs.replace(
                remark, remedy="exits are to be ours alone (authority.exclusive_exits): find out who did it"
            )
            for remark, does in zip(foreign, reducing, strict=True)
            if does
        ]
        foreign = [remark for remark, does in zip(foreign, reducing, strict=True) if not does]
    unsettled = _unclear(material, {(Rule.I9, _E), (Rule.I2, _E)})
    return _on_orders(material, 2, exceptions, [*foreign, *unsettled])


def _every_order_reducing(material: Material) -> Question:
    exceptions = [
        *_violations(material, 3),
        *(
            _nobodys(one, f"does not reduce: reduceOnly={one.order.reduce_only}, {one.order.position_side}")
            for one in material.unjoined
            if not one.order.reduces
        ),
    ]
    return _on_orders(material, 3, exceptions, [])


def _traceable(material: Material) -> Question:
    exceptions = [
        *_violations(material, 4),
        *(_of(order, missing, _TRACE) for order in material.orders for missing in order.missing),
        *(_nobodys(one, _untraced(one)) for one in material.unjoined),
    ]
    notes = [
        *(
            _of(order, "is under way: neither for nor against", "")
            for order in material.orders
            if order.under_way
        ),
        *(
            _of(order, _beginning(order), "")
            for order in material.orders
            if order.begins_at not in {Link.INTENT, None}
        ),
        *_unclear(material, {(Rule.SEGMENTS, _J), (Rule.I7, _E)}),
    ]
    found, least = len(material.proven), material.minimum.closes
    too_few = f"{found} of {least} confirmed closes of {material.component}, each traced whole: {_PROVE}"
    return _question(
        material,
        4,
        found,
        "confirmed closes traced whole",
        exceptions,
        notes,
        to_do="" if found >= least else too_few,
        nothing=not material.confirmed,
    )


def _crash_closes_nothing(material: Material) -> Question:
    exceptions = [
        *(
            _of(order, order.unadmitted, _VERIFY)
            for order in material.orders
            if order.unadmitted and not order.rebuilt
        ),
        *_unreigned(material),
        *(_nobodys(one, _after(one, material.reigns)) for one in material.unjoined if not one.plan_id),
    ]
    notes: list[Remark] = []
    if material.probe is not None:
        exceptions += [
            Remark(what=f"the probe: {difference}", remedy="compare positions and orders by hand")
            for difference in material.probe.differences
        ]
        notes.append(_probed(material.probe))
    restarts = [reign for reign in material.reigns if reign.restart and reign.component == material.component]
    found, least = len(restarts), material.minimum.restarts
    too_few = (
        f"{found} of {least} recorded restarts of {material.component}: `sureclose prove` kills and restarts one, or restart "
        "it yourself (`systemctl restart sureclose`), then audit again"
    )
    reigned = any(reign.component == material.component for reign in material.reigns)
    return _question(
        material,
        5,
        found,
        "recorded restarts",
        exceptions,
        notes,
        to_do="" if found >= least and reigned else too_few,
        nothing=not reigned or found == 0 < least,
    )


# Parts -------------------------------------------------------------------------------------------------------------


def _on_orders(
    material: Material, number: int, exceptions: Sequence[Remark], notes: Sequence[Remark]
) -> Question:
    """A question that rests on the orders of confirmed closes, and on every other order too."""
    closes, least = len(material.confirmed), material.minimum.closes
    to_do = (
        "" if closes >= least else f"{closes} of {least} confirmed closes of {material.component}: {_PROVE}"
    )
    own = material.own
    return _question(material, number, len(own), "orders", exceptions, notes, to_do=to_do, nothing=not own)


def _question(
    material: Material,
    number: int,
    looked_at: int,
    of: str,
    exceptions: Sequence[Remark],
    notes: Sequence[Remark],
    *,
    to_do: str,
    nothing: bool,
) -> Question:
    unread = [
        Remark(what=f"could not be read: {what}", remedy="see that it can be read, then audit again")
        for what in material.unread
    ]
    failed = [*unread, *exceptions]
    if failed:
        verdict = Verdict.FAILS
    elif nothing:
        verdict = Verdict.NOTHING
    else:
        verdict = Verdict.FAILS if to_do else Verdict.PASSES
    return Question(
        number=number,
        asks=ASKS[number - 1],
        verdict=verdict,
        looked_at=looked_at,
        of=of,
        exceptions=tuple(failed),
        notes=tuple(notes),
        to_do=to_do,
    )


def _violations(material: Material, number: int) -> Iterator[Remark]:
    for check in material.checks:
        if (check.rule, check.against) in RULES[number - 1]:
            for noted in check.violations:
                what = f"{noted.what} ({check.rule}, by the {check.against})"
                remedy = _VERIFY.replace("PLAN", noted.plan_id or "")
                yield Remark(what=what, remedy=remedy, plan_id=noted.plan_id, records=noted.records)


def _unclear(material: Material, rules: Iterable[Key]) -> Iterator[Remark]:
    """What could not be judged. Orders that no close knows are looked up one by one, whatever was read."""
    wanted = set(rules)
    for check in material.checks:
        if (check.rule, check.against) in wanted:
            for noted in check.unclear:
                if check.rule is Rule.I9 and not noted.plan_id:
                    continue
                yield Remark(what=noted.what, plan_id=noted.plan_id, records=noted.records)


def _of(order: TracedOrder, what: str, remedy: str) -> Remark:
    return Remark(
        what=f"{order.told}: {what}",
        remedy=remedy.replace("PLAN", order.plan_id),
        plan_id=order.plan_id,
        order_id=order.order.order_id,
        client_order_id=order.order.client_order_id,
        records=order.records,
    )


def _nobodys(one: Unjoined, what: str) -> Remark:
    order = one.order
    told = f"order {order.order_id} ({order.client_order_id}) {order.side} {order.orig_qty} {order.symbol}"
    elsewhere = (
        "audit on the host that wrote its segment, or copy the file here (`sureclose verify` names it)"
    )
    return Remark(
        what=f"{told}: {what}",
        remedy=elsewhere if one.plan_id else _STRANGER,
        plan_id=one.plan_id,
        order_id=order.order_id,
        client_order_id=order.client_order_id,
    )


def _beginning(order: TracedOrder) -> str:
    if order.source == Component.SAFETY_CONTROLLER:
        return "was decided by the safety controller, by its own rule"
    return f"begins at the {order.begins_at}: its producer names no wish"


def _parked(plan: AuditedPlan) -> Remark:
    return Remark(
        what="a close is parked: what became of its orders is not proven, and nobody has settled it",
        remedy=f"`sureclose resolve {plan.plan_id}`, then audit again",
        plan_id=plan.plan_id,
        records=plan.records[-1:],
    )


def _untraced(one: Unjoined) -> str:
    if one.plan_id:
        return f"{Link.JOURNAL}: the records of plan {one.plan_id} could not be read here"
    return f"{Link.JOURNAL}: no record names it, so nothing leads to it"


def _others(material: Material) -> Iterator[Remark]:
    """Orders that are no evidence about the component: another one sent them, or nobody can say who."""
    for order in material.orders:
        if order.rebuilt:
            yield _of(order, "was rebuilt after a loss of the log: no evidence of who sent it", "")
        elif order.component != material.component:
            whose = order.component or f"an unrecorded reign (epoch {order.epoch})"
            yield _of(order, f"was sent by {whose}: no evidence about {material.component}", "")


def _foreign(one: ForeignOrder) -> Remark:
    order = one.order
    whose = f"the venue's own ({one.by})" if one.by else "FOREIGN"
    reduces = f"reduces {one.reduces}" if one.reduces is not Reduces.NO else "does not reduce"
    return Remark(
        what=f"{whose}: {order.side} {order.executed_qty} of {order.orig_qty} {order.symbol}"
        f" ({order.position_side}), {order.status}, {reduces}",
        order_id=order.order_id,
        client_order_id=order.client_order_id,
    )


def _unreigned(material: Material) -> Iterator[Remark]:
    """Orders of an epoch that lies within the record of leases and is not in it."""
    epochs = {reign.epoch for reign in material.reigns}
    first = min(epochs, default=0)
    for order in material.orders:
        if not order.component and not order.rebuilt and first and order.epoch > first:
            yield _of(
                order, f"was sent under epoch {order.epoch}, and no lease of that epoch is recorded", _VERIFY
            )


def _after(one: Unjoined, reigns: Sequence[Reign]) -> str:
    """When an order that nobody decided was there, beside the last start before it. Both clocks are near each other."""
    at = one.order.time or one.order.update_time
    before = [reign for reign in reigns if reign.at <= at]
    if not before:
        return "no decision was admitted for it"
    last: Reign = max(before, key=lambda reign: reign.at)
    return f"no decision was admitted for it, {at - last.at} ms after {last.owner} took the lease (epoch {last.epoch})"


def _probed(probe: Probe) -> Remark:
    """One that only stood by shows that a start closes nothing, and is no restart of who executes."""
    role = "held the lease" if probe.held_the_lease else "stood by"
    what = (
        f"probe: process {probe.killed} {role}, {probe.how}; {len(probe.positions)} positions as before,"
        f" {probe.orders} orders meanwhile"
    )
    remedy = "" if probe.held_the_lease else "a restart of the executor itself counts, or `sureclose prove`"
    return Remark(what=what, remedy=remedy)


def epochs_of(reigns: Iterable[Reign]) -> Mapping[int, Reign]:
    """Who reigned in which epoch."""
    return {reign.epoch: reign for reign in reigns}


def restarts(reigns: Sequence[Reign], *, complete: bool) -> tuple[Reign, ...]:
    """The recorded leases with those marked that were a start of a component after its first.

    Oldest first. Where the record is not ``complete`` its first lease of a component need not be the first that there was.
    The same process taking the lease again has not been restarted.
    """
    owners: dict[str, set[str]] = {}
    marked = []
    for reign in reigns:
        known = owners.setdefault(reign.component, set())
        again = bool(known) or not complete
        marked.append(msgspec.structs.replace(reign, restart=again and reign.owner not in known))
        known.add(reign.owner)
    return tuple(marked)
