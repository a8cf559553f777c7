"""``POST /v1/hooks/{name}``: an alert of a program that knows nothing of us becomes a close, once however often it comes.

A hook is a machine: what it asks for never carries a warrant.
"""

import secrets
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from sureclose.domain.planning import planned_id
from sureclose.journal.asking import asked
from sureclose.journal.refusals import Refusal, record_refusal
from sureclose.operate.api.admission import FAILURES_PER_S, LONGEST_ADDRESS
from sureclose.operate.api.hook_counts import Became, HookCounts
from sureclose.operate.api.hook_mapping import Absurd, Ignored, Wanted
from sureclose.operate.api.hook_reading import DOOR, Understood, request_of, understood
from sureclose.operate.api.hook_secrets import Hook, Hooks
from sureclose.operate.api.limits import Rates
from sureclose.operate.api.problems import Kind, Problem, later
from sureclose.operate.api.reading import document, whole_body
from sureclose.operate.api.wishes import Answer, ask, log_answers
from sureclose.operate.asking import CloseRequest, Refused, checked
from sureclose.operate.closes import look
from sureclose.operate.session import Session
from sureclose.services.http import Route

PATH: Final = "/v1/hooks/{name}"
_UNKNOWN: Final = "no hook of this name has the secret that came; look at [hooks.NAME] of the configuration, and at how the sender sends it"
_CHALLENGE: Final = {"WWW-Authenticate": 'Bearer realm="sureclose hooks"'}
_REPEAT: Final = "the log did not answer, so it is not known whether the alert was taken in; send it again, which closes nothing twice"
_BEFORE: Final = "this alert was taken in before, so nothing was sent for it now"


class Told(msgspec.Struct, frozen=True):
    """What is answered for one alert."""

    status: HTTPStatus
    document: dict[str, Any]
    headers: dict[str, str]


class HookDoor:
    """The handlers of all hooks of one process."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._hooks = Hooks(session.hooks, secrets.token_hex(32))
        self._rates = Rates(session.http.rate_per_s, session.monotonic)
        self._failures = Rates(FAILURES_PER_S, session.monotonic)
        self.counts = HookCounts(session.hooks)

    def routes(self) -> tuple[Route, ...]:
        return (Route("POST", PATH, self._handle),)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._take(request)
        except Problem as problem:
            return problem.response()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if len(request.raw_path) > LONGEST_ADDRESS:
            raise Problem(
                Kind.ADDRESS_TOO_LONG, f"path and query may have {LONGEST_ADDRESS} characters in all"
            )
        raw = await whole_body(request)
        hook = self._hooks.find(request.match_info["name"], request, raw)
        if hook is None:
            self.counts.count_unknown()
            if wait := self._failures.take(request.remote or ""):
                raise later(Kind.TOO_MANY_FAILURES, "send a secret that is known, or less", wait)
            raise Problem(Kind.HOOK_UNKNOWN, _UNKNOWN, headers=_CHALLENGE)
        if wait := self._rates.take(hook.name):
            raise later(Kind.RATE, "http.rate_per_s says how many alerts a second one hook takes", wait)
        async with log_answers(_REPEAT):
            return await self._tell(hook, raw)

    async def _tell(self, hook: Hook, raw: bytes) -> web.StreamResponse:
        session = self._session
        alerts = understood(hook, session.keys.account, raw, session.clock.now())
        if not hook.settings.each:
            [alert] = alerts
            told = await self._become(hook, alert)
            return document(told.document, told.status, told.headers)
        told_all, refused = [], 0
        for alert in alerts:
            try:
                told = await self._become(hook, alert)
            except Problem as problem:
                refused += 1
                told_all.append({"status": problem.kind.status, "detail": problem.detail, **problem.facts})
            else:
                told_all.append({"status": told.status, **told.document})
        if refused:
            detail = (
                f"{refused} of {len(alerts)} alerts are refused, as alerts says of each; the others are taken"
            )
            raise Problem(Kind.REFUSED, detail, alerts=told_all)
        fresh = any(one["status"] == HTTPStatus.ACCEPTED for one in told_all)
        return document({"alerts": told_all}, HTTPStatus.ACCEPTED if fresh else HTTPStatus.OK)

    async def _become(self, hook: Hook, alert: Understood) -> Told:
        """Raises ``Problem`` for one that is refused, ``RedisError``."""
        match alert.meaning:
            case Ignored(why=why):
                self.counts.count(hook.name, Became.IGNORED)
                return Told(HTTPStatus.OK, {"ignored": True, "why": why}, {})
            case Absurd() as absurd:
                raise await self._refusal(hook, alert.intent_id, absurd)
            case Wanted() as wanted:
                return await self._ask(hook, request_of(hook, alert.intent_id, wanted))

    async def _ask(self, hook: Hook, request: CloseRequest) -> Told:
        try:
            answer = await _ended_long_ago(self._session, request) or await ask(self._session, request)
        except Problem as problem:
            absurd = Absurd(
                reason=problem.facts.get("reason", str(problem.kind)),
                detail=problem.detail,
                path="$",
                remedy=problem.facts.get("remedy", ""),
                symbol=request.symbol,
            )
            await self._record(hook, request.intent_id, absurd)
            raise
        self.counts.count(hook.name, Became.TAKEN if answer.fresh else Became.REPEATED)
        return _told(answer)

    async def _refusal(self, hook: Hook, named: str, absurd: Absurd) -> Problem:
        await self._record(hook, named, absurd)
        return Problem(
            Kind.REFUSED,
            f"{absurd.detail}; {absurd.remedy}",
            reason=absurd.reason,
            path=absurd.path,
            remedy=absurd.remedy,
            intent_id=named,
        )

    async def _record(self, hook: Hook, named: str, absurd: Absurd) -> None:
        self.counts.count(hook.name, Became.REFUSED)
        session = self._session
        refusal = Refusal(
            where=f"{DOOR}:{hook.name}",
            reason=absurd.reason,
            at=session.clock.now(),
            threshold=absurd.threshold,
            seen=absurd.seen or absurd.detail,
            remedy=absurd.remedy,
            actor=hook.name,
            intent_id=named,
            symbol=absurd.symbol,
        )
        await record_refusal(session.wire, session.keys, refusal)


async def _ended_long_ago(session: Session, request: CloseRequest) -> Answer | None:
    """The close of an alert that nobody remembers to have taken in, and that the journal knows by its plan all the same."""
    if await asked(session.wire, session.keys, request.intent_id) is not None:
        return None
    try:
        plan_id = planned_id(checked(session, request, session.clock.now()))
    except Refused:
        return None  # which asking says again
    if await session.journal.load(plan_id) is None:
        return None
    if await asked(session.wire, session.keys, request.intent_id) is not None:
        return None  # a repeat of this very moment was taken in meanwhile, and had its close begun
    view = await look(session, plan_id)
    assert view is not None
    return Answer(view, fresh=False)


def _told(answer: Answer) -> Told:
    """202 for an alert that is taken in now, 200 for one that was before. Both say where its close is."""
    found: dict[str, Any] = msgspec.to_builtins(answer.view)
    found |= {"repeated": False} if answer.fresh else {"repeated": True, "note": _BEFORE}
    where = {"Location": f"/v1/closes/{quote(answer.view.id, safe='')}"}
    return Told(HTTPStatus.ACCEPTED if answer.fresh else HTTPStatus.OK, found, where)
