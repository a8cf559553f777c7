"""The PnL authority map document: one page of Markdown that says who may do what, and on what evidence."""

from collections.abc import Iterator, Sequence

from sureclose.domain.times import iso_ms
from sureclose.operate.authority_evidence import Held
from sureclose.operate.authority_map import Map, Row

_MAY = {
    "execution_service": "close approved decisions by machine (PATH 1B)",
    "harvest_brain": "close approved decisions by machine (PATH 1A)",
    "safety_controller": "close whole positions by its fixed rules, only under freeze and when armed",
    "intent_executor": "make plans of intents; executes nothing",
    "apply_layer": "decide on plans; executes nothing",
}


def render_map(found: Map, audit: Sequence[str] = ()) -> str:
    """The document. Nothing in it is older than ``found``; what is not known says so.

    ``audit`` is what an audit that was just made says of itself, in lines of Markdown.
    """
    parts = [
        "# PnL authority map",
        "",
        f"* Date: {iso_ms(found.at)}",
        f"* Account: {found.account}",
        f"* Environment: {found.environment}",
        f"* Scope: {found.scope}",
        f"* In control: {', '.join(row.component for row in found.controllers) or 'nobody'}",
        f"* Frozen: {_frozen(found)}",
        "",
        "Computed by `sureclose authority show` from the evidence below; it is true for the date above only.",
        "",
        *_who(found),
        *_authority(found),
        *_freeze(found),
        *_positions(found),
        *_safety(found),
        *(("## Last audit", "", *audit, "") if audit else _audit(found)),
        *_evidence(found),
    ]
    return "\n".join(parts) + "\n"


def _frozen(found: Map) -> str:
    if found.frozen is None:
        return "unknown"
    return "yes" if found.frozen else "no"


def _who(found: Map) -> Iterator[str]:
    yield "## Who may do what"
    yield ""
    yield from _table(
        ("component", "level", "may", "last sign of life", "why no more"),
        [
            (
                _name(row),
                str(row.level),
                "nothing of ours: not known to this deployment" if row.foreign else _may(row),
                _when(row.alive_at),
                "; ".join(row.reasons) or "-",
            )
            for row in found.components
        ],
    )
    yield ""
    for row in found.components:
        yield f"### {_name(row)}: {row.level}"
        yield ""
        for line in row.evidence:
            yield f"* {_cell(line.what)}: {_when(line.at)}{_age(line.at, found.at)}"
        if not row.evidence:
            yield "* no evidence"
        yield ""


def _may(row: Row) -> str:
    right = _MAY.get(row.component, "nothing")
    if row.scope == "exit" and row.component != "safety_controller" and row.level != "CONTROLLER":
        return "nothing now: no close of its passes the gate"
    return right


def _authority(found: Map) -> Iterator[str]:
    yield "## Grant and lease"
    yield ""
    grant = found.grant
    if grant is None:
        yield "* Grant: unknown"
    elif not grant:
        yield "* Grant: nobody has it"
    else:
        told = ", ".join(
            f"{name} {grant[name]}" for name in sorted(grant) if name != "component" and grant[name]
        )
        yield f"* Grant: {grant.get('component', '')} ({_cell(told)})"
    if "lease" in found.unknown:
        yield f"* Lease: unknown ({_cell(found.unknown['lease'])})"
    elif found.lease is None:
        yield "* Lease: nobody holds it"
    else:
        yield f"* Lease: {found.lease.component or 'unknown'} as {found.lease.owner}, epoch {found.lease.epoch}"
    yield ""


def _freeze(found: Map) -> Iterator[str]:
    yield "## Freeze"
    yield ""
    if found.frozen is None:
        yield "Unknown: the authority record could not be read."
    elif found.freeze is None:
        yield "None."
    else:
        yield from _table(
            ("trigger", "since", "reason", "by"),
            [(one.trigger, _when(one.at), one.reason, one.actor or "-") for one in found.freeze.triggers],
        )
        yield ""
        yield f"Open when it began: {_cell(found.freeze.positions)}"
        yield ""
        yield "Ways out:"
        yield ""
        for way in found.freeze.ways_out:
            yield f"* {way}"
    yield ""


def _positions(found: Map) -> Iterator[str]:
    yield "## Open positions"
    yield ""
    if found.positions is None:
        yield f"Unknown: {_cell(found.unknown.get('positions', 'not read'))}"
    elif not found.positions:
        yield "None."
    else:
        yield from _table(
            ("symbol", "side", "amount", "controlled by"),
            [
                (one.symbol, one.position_side, one.amount, _controlled_by(found, one))
                for one in found.positions
            ],
        )
    yield ""


def _controlled_by(found: Map, held: Held) -> str:
    if found.uncontrolled is not None and held in found.uncontrolled:
        return "nobody" + ("; the safety controller is armed" if found.safety_armed else "")
    return ", ".join(row.component for row in found.controllers)


def _safety(found: Map) -> Iterator[str]:
    yield "## Safety controller"
    yield ""
    if found.safety_armed is None:
        yield f"Unknown: {_cell(found.unknown.get('safety', 'its record can not be read as one'))}"
    elif found.safety_armed:
        yield "Armed."
        yield ""
        yield from (f"* {name}: {_cell(value)}" for name, value in sorted((found.safety or {}).items()))
    else:
        yield "Not armed."
    yield ""


def _audit(found: Map) -> Iterator[str]:
    yield "## Last audit"
    yield ""
    if "last audit" in found.unknown:
        yield f"Unknown: {_cell(found.unknown['last audit'])}"
    elif found.audit is None:
        yield "None on record."
    else:
        yield from (
            f"* {name}: {_cell(str(value))}"
            for name, value in sorted(found.audit.items())
            if isinstance(value, str | int | bool)
        )
    yield ""


def _evidence(found: Map) -> Iterator[str]:
    yield "## Evidence"
    yield ""
    yield "Each hash is of the JSON below it, byte for byte."
    yield ""
    yield from _table(
        ("piece", "read", "sha256", "problem"),
        [(one.name, _when(one.at), one.sha256, one.error or "-") for one in found.evidence],
    )
    yield ""
    for one in found.evidence:
        yield f"### {one.name}"
        yield ""
        yield "````json"
        yield one.json
        yield "````"
        yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(map(_cell, row))} |"


def _cell(text: str) -> str:
    """In one line, and without an end of the cell: producers' free text comes through here."""
    return " ".join(text.split()).replace("|", "\\|")


def _name(row: Row) -> str:
    return _cell(f"{row.component} (foreign)" if row.foreign else row.component)


def _when(at: int | None) -> str:
    return "never, or not known" if at is None else iso_ms(at)


def _age(at: int | None, now: int) -> str:
    return "" if at is None else f" ({max(0, now - at) / 1000:.0f} s ago)"
