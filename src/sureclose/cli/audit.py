"""``sureclose audit``: the five questions, answered by the venue's own records."""

import secrets
from collections.abc import Sequence
from typing import Final

import click
from redis.exceptions import RedisError
from rich.markup import escape
from rich.table import Table

from sureclose.cli import exits
from sureclose.cli.children import child_executor
from sureclose.cli.codes import Exit
from sureclose.cli.options import Options
from sureclose.cli.session import opened
from sureclose.domain.authority import Component
from sureclose.domain.times import iso_ms
from sureclose.domain.words import Mode
from sureclose.journal.checking.audited import Probe, Question, Remark, Verdict
from sureclose.operate.audit import CONTROLLERS, Audited, CannotAudit, PeriodRefused
from sureclose.operate.audit import audit as make
from sureclose.operate.audit_probe import ProbeFailed, probe
from sureclose.operate.session import Session
from sureclose.services.settings import Role
from sureclose.venue.errors import VenueError

_SHOWN: Final = 20
"""How many lines a person gets of each kind; ``--json`` and the evidence file have all."""
_COLOURS: Final = {Verdict.PASSES: "green", Verdict.FAILS: "bold red", Verdict.NOTHING: "yellow"}


@click.command()
@click.option(
    "--since",
    metavar="TIME|DURATION",
    help="From when on: ISO 8601 (the venue's time, UTC), or how long ago, such as 90m.  [default: 24h]",
)
@click.option(
    "--component",
    type=click.Choice([str(one) for one in CONTROLLERS]),
    help="Who is audited, where several have executed.",
)
@click.option(
    "--probe",
    "with_probe",
    is_flag=True,
    help="Also kill an executor process of its own, beside what runs, and start it again. Paper and demo only.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")
@click.pass_obj
def audit(
    options: Options, *, since: str | None, component: str | None, with_probe: bool, as_json: bool
) -> None:
    """Answer five questions from the venue's own order history, joined with the journal.

    Only closes; nothing unintended; every order reducing; every order traceable from event to fill; a crash closes
    nothing. It passes on evidence that is there. What it finds is kept in the data folder and noted in the log, and a
    grant or an unfreeze can name it. Exit codes: 0 all five pass, 1 not.
    """

    async def command() -> Exit:
        async with opened(options, "audit", may_start=True) as session:
            if with_probe and session.mode is Mode.LIVE:
                return exits.fail(
                    Exit.CONFIG, "--probe kills an executor on purpose: not on the live exchange"
                )
            try:
                probed = await _probed(session, options) if with_probe else None
                about = None if component is None else Component(component)
                made = await make(session, since, about, _progress, probed)
            except (PeriodRefused, CannotAudit) as error:
                return exits.fail(Exit.CONFIG, str(error))
            except (ProbeFailed, OSError) as error:
                return exits.fail(Exit.ERROR, str(error))
        if as_json:
            exits.print_json(_document(made))
        else:
            _show(made)
        return Exit.DONE if made.record.passed else Exit.ERROR

    exits.run(command)


def _progress(what: str) -> None:
    click.echo(f"audit: {what}", err=True)


async def _probed(session: Session, options: Options) -> Probe:
    folder = (session.folder / "audits").resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    logfile = folder / f"probe-{secrets.token_hex(4)}.log"
    child = child_executor(options, (Role.EXECUTION,), logfile)
    try:
        return await probe(session, child, logfile, _progress)
    except (VenueError, RedisError) as error:
        raise ProbeFailed(f"the probe could not be made: {error}") from error


def _document(made: Audited) -> dict[str, object]:
    evidence, record = made.evidence, made.record
    return {
        "id": record.id,
        "passed": record.passed,
        "component": record.component,
        "account": evidence.account,
        "at": iso_ms(evidence.at),
        "since": iso_ms(evidence.period.since),
        "until": iso_ms(evidence.period.until),
        "newest_evidence_at": iso_ms(record.newest_evidence_at) if record.newest_evidence_at else "",
        "questions": evidence.questions,
        "foreign": evidence.foreign,
        "unjoined": evidence.unjoined,
        "orders": evidence.orders,
        "reigns": evidence.reigns,
        "probe": evidence.probe,
        "positions": evidence.positions,
        "unread": evidence.unread,
        "heads": record.heads,
        "evidence": str(made.path),
        "sha256": record.sha256,
        "map": made.map,
    }


# What a person reads -----------------------------------------------------------------------------------------------


def _show(made: Audited) -> None:
    console, evidence, record = exits.console(), made.evidence, made.record
    since, until = iso_ms(evidence.period.since), iso_ms(evidence.period.until)
    console.print(f"{record.component} on {evidence.account}, {since} to {until} by the venue's time")
    table = Table(box=None, pad_edge=False)
    for column in ("#", "question", "answer", "rests on", "exceptions"):
        table.add_column(column, overflow="fold", justify="right" if column == "exceptions" else "left")
    for question in evidence.questions:
        colour = _COLOURS[question.verdict]
        table.add_row(
            str(question.number),
            question.asks,
            f"[{colour}]{question.verdict}[/{colour}]",
            f"{question.looked_at} {question.of}",
            str(len(question.exceptions) or ""),
        )
    console.print(table)
    for question in evidence.questions:
        _exceptions(question)
    passed = sum(question.verdict is Verdict.PASSES for question in evidence.questions)
    console.print(f"audit {record.id}: {passed} of 5 pass. Evidence: {made.path}", soft_wrap=True)
    console.print(f"map: {made.map}", soft_wrap=True)


def _exceptions(question: Question) -> None:
    console = exits.console()
    _lines(f"{question.number} does not pass", question.exceptions)
    if question.to_do:
        console.print(escape(f"{question.number} is missing: {question.to_do}"), soft_wrap=True)
    _lines(f"{question.number} notes", question.notes)


def _lines(title: str, remarks: Sequence[Remark]) -> None:
    console = exits.console()
    for one in remarks[:_SHOWN]:
        told = [f"{title}: {one.what}"]
        told += [f"plan {one.plan_id}"] if one.plan_id else []
        told += [one.remedy] if one.remedy else []
        console.print(escape("; ".join(told)), soft_wrap=True)
    if len(remarks) > _SHOWN:
        console.print(f"{title}: {len(remarks) - _SHOWN} more; --json has them all")
