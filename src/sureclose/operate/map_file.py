"""The authority map document that an audit which passes rewrites."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

from sureclose.domain.times import iso_ms
from sureclose.journal.audits import AuditRecord, replace_durably
from sureclose.journal.checking.audited import Evidence
from sureclose.operate.authority_document import render_map
from sureclose.operate.authority_map import authority_map
from sureclose.operate.session import Session


async def rewrite_map(session: Session, record: AuditRecord, evidence: Evidence) -> str:
    """Write the document in one step when all five questions pass; what became of it, as a person reads it.

    Raises ``OSError`` when it can't be written, ``RedisError`` when the log does not answer.
    """
    if not session.authority.map_file:
        return "no map document is configured (authority.map_file)"
    path = Path(session.authority.map_file)
    if not record.passed:
        return f"{path} is left as it is: not all five questions pass"
    page = render_map(await authority_map(session), tuple(_about(record, evidence)))
    await asyncio.to_thread(replace_durably, path, page.encode(), 0o644)
    return f"{path} is rewritten"


def _about(record: AuditRecord, evidence: Evidence) -> Iterator[str]:
    """What the audit has to say of itself, as Markdown."""
    yield f"{iso_ms(evidence.at)}, audit `{record.id}`"
    yield ""
    yield f"**{evidence.component}** passed all five questions for {iso_ms(evidence.period.since)} to"
    yield f"{iso_ms(evidence.period.until)} (the venue's time)."
    yield ""
    yield "| # | question | verdict | rests on |"
    yield "|---|---|---|---|"
    for question in evidence.questions:
        yield f"| {question.number} | {question.asks} | {question.verdict} | {question.looked_at} {question.of} |"
    yield ""
    yield f"Evidence: `audits/{record.id}.json`, SHA-256 `{record.sha256}`"
    yield ""
    yield "| close | last record |"
    yield "|---|---|"
    for plan_id, head in record.heads.items():
        yield f"| `{plan_id}` | `{head}` |"
