"""The scripts against a small model of them, on random histories of two processes and a log that forgets.

``make test`` draws some hundreds, ``python -m tests.model --histories`` ten thousand. The search of ``tests/model`` asks this
same model, so what it finds is said of the scripts.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Iterable
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sureclose.domain.facts import AnyFact, Clearing, Resumed, Sending, Why
from sureclose.domain.outcome import OutcomeKind
from sureclose.domain.words import PositionSide
from sureclose.journal import lease
from sureclose.journal.archive import Archive, Keeping, NotAnchored
from sureclose.journal.chain import Chain
from sureclose.journal.claims import Claim
from sureclose.journal.fence import Fence
from sureclose.journal.lease import Lease
from sureclose.journal.record import Head
from sureclose.journal.segment import Written
from sureclose.journal.store import Journal
from sureclose.journal.verdict import Fenced, Verdict
from sureclose.streams.connection import Log
from tests.journal.journals import COMPONENT, NOW, SYMBOL, Desk, admitted, ended

PLANS = ("one", "two")


class Close(msgspec.Struct):
    records: int = 0
    attempt: int = 0
    state: str = ""


class Model(msgspec.Struct):
    """What the scripts promise, in as few words as it takes."""

    holder: str = ""
    epoch: int = 0
    grant: bool = True
    frozen: bool = False
    warrants: set[str] = msgspec.field(default_factory=set)
    flight: str = ""
    parked: set[str] = msgspec.field(default_factory=set)
    orphans: set[tuple[str, int]] = msgspec.field(default_factory=set)
    written: int = 0
    burnt: set[str] = msgspec.field(default_factory=set)
    claims: dict[str, str] = msgspec.field(default_factory=dict)
    """By intent, the plan that was sent for it."""
    closes: dict[str, Close] = msgspec.field(default_factory=lambda: {plan: Close() for plan in PLANS})

    def fence(self, held: Lease, plan: str, seen: int, known: int) -> str:
        if self.written < known:
            return "LOG_LOST"
        if (held.owner, held.epoch) != (self.holder, self.epoch):
            return "STALE_LEASE"
        return "" if seen == self.closes[plan].records else "STALE_HEAD"

    def wrote(self) -> str:
        self.written += 1
        return "OK"

    def goes_on(self, held: Lease, plan: str, seen: int, known: int) -> str:
        """Why a close can't be gone on with: by this process, from this head, or at all."""
        over = self.closes[plan].state in {"DONE", "PARKED"}
        used_up = seen == 0 and plan in self.burnt
        return self.fence(held, plan, seen, known) or ("BURNT" if used_up else "STALE_HEAD" if over else "")

    def append(self, held: Lease, plan: str, seen: int, known: int) -> str:
        refused = self.goes_on(held, plan, seen, known)
        if not refused:
            self.closes[plan].records += 1
            self.closes[plan].state = "OPEN"
        return refused or self.wrote()

    def gate(self, held: Lease, plan: str, seen: int, attempt: int, known: int, intent: str) -> str:
        close = self.closes[plan]
        refused = self.goes_on(held, plan, seen, known)
        if refused:
            return refused
        if attempt != close.attempt + 1:
            return "STALE_ATTEMPT"
        refused = self.forbidden(plan)
        if refused:
            return refused
        if (plan, attempt) in self.orphans:
            return "USED"
        if self.flight not in {"", plan}:
            return "BUSY"
        if self.claims.get(intent, plan) != plan:
            return "SAME_INTENT"
        close.records += 1 + (not seen)
        close.attempt, close.state, self.flight = attempt, "OPEN", plan
        self.claims[intent] = plan
        return self.wrote()

    def adopt(self, held: Lease, plan: str, seen: int, attempt: int, known: int, intent: str) -> str:
        close = self.closes[plan]
        refused = self.goes_on(held, plan, seen, known)
        if refused:
            return refused
        if attempt <= close.attempt:
            return "STALE_ATTEMPT"
        if self.flight not in {"", plan}:
            return "BUSY"
        close.records += 1 + (not seen)
        close.attempt, close.state, self.flight = attempt, "OPEN", plan
        self.claims.setdefault(intent, plan)
        self.orphans.discard((plan, attempt))
        return self.wrote()

    def forbidden(self, plan: str) -> str:
        if plan in self.warrants:
            return ""
        return "FROZEN" if self.frozen else "" if self.grant else "NOT_AUTHORISED"

    def permit(self, held: Lease, plan: str, seen: int, more: int, known: int) -> str:
        refused = self.goes_on(held, plan, seen, known) or self.forbidden(plan)
        if not refused:
            self.closes[plan].records += more
            self.closes[plan].state = "OPEN"
        return refused or self.wrote()

    def resolve(self, plan: str, seen: int, known: int) -> str:
        close = self.closes[plan]
        if self.written < known:
            return "LOG_LOST"
        if seen != close.records or close.state != "PARKED":
            return "STALE_HEAD"
        close.records, close.state = close.records + 1, "DONE"
        self.parked.discard(plan)
        return self.wrote()

    def publish(
        self, held: Lease, plan: str, seen: int, state: str, known: int, intents: Iterable[str] = ()
    ) -> str:
        refused = self.goes_on(held, plan, seen, known)
        if not refused:
            self.closes[plan].records += 1 + (not seen)
            self.closes[plan].state = state
            if state == "PARKED":
                self.parked.add(plan)
            if self.flight == plan:
                self.flight = ""
            if state == "SKIPPED":
                self.claims = {intent: one for intent, one in self.claims.items() if one != plan}
            else:
                self.claims = dict.fromkeys(intents, plan) | self.claims
        return refused or self.wrote()

    def archive(self, held: Lease, known: int) -> str:
        """Every finished close leaves the log, but one that was skipped after it had been sent."""
        done = {plan for plan, close in self.closes.items() if close.state == "DONE"}
        unsent = {p for p, close in self.closes.items() if close.state == "SKIPPED" and not close.attempt}
        if not done | unsent:
            return "NOTHING"
        if self.written < known:
            return "LOG_LOST"
        if (held.owner, held.epoch) != (self.holder, self.epoch):
            return "STALE_LEASE"
        self.burnt |= done
        self.closes |= {plan: Close() for plan in done | unsent}
        return self.wrote()


class Process(msgspec.Struct):
    """A process remembers a lease and, for each close, the head that it saw last; both may be out of date."""

    owner: str
    lease: Lease
    heads: dict[str, Head]
    desk: Desk
    fence: Fence
    archive: Archive

    @property
    def known(self) -> int:
        return self.fence.memory.written


KEEP_NOTHING = Keeping(closes=0, ms=0, segment=100)
ENDS = {"DONE": OutcomeKind.FLAT, "SKIPPED": OutcomeKind.SKIPPED, "PARKED": OutcomeKind.PARKED}
SHARED = "shared"
owners, plans = st.sampled_from(["a", "b"]), st.sampled_from(PLANS)
intents = st.sampled_from([SHARED, "intent-{}"])
"""One that both plans are of, or the plan's own."""
calls = st.one_of(
    st.tuples(st.sampled_from(["take", "drop"]), owners),
    st.tuples(st.sampled_from(["freeze", "grant", "expire"])),
    st.tuples(st.just("warrant"), plans),
    st.tuples(st.sampled_from(["copy", "restore"])),
    st.tuples(st.just("relearn"), owners),
    st.tuples(st.just("orphan"), plans, st.integers(1, 3)),
    st.tuples(st.just("adopt"), owners, plans, st.integers(1, 3), intents),
    st.tuples(st.just("look"), owners, plans),
    st.tuples(st.just("append"), owners, plans),
    st.tuples(st.just("gate"), owners, plans, st.sampled_from([0, 0, 0, 0, -1, 1]), intents),
    st.tuples(st.just("gate"), owners, plans, st.just(0), intents),
    st.tuples(st.just("permit"), owners, plans, st.booleans()),
    st.tuples(st.just("resolve"), owners, plans),
    st.tuples(st.just("publish"), owners, plans, st.sampled_from(list(ENDS))),
    st.tuples(st.just("archive"), owners),
)
prefixes = count()
EXAMPLES = int(os.environ.get("SURECLOSE_HISTORIES", "1"))
"""A multiple of the default number of histories, for a longer hunt."""


async def said(call: Awaitable[Verdict | None]) -> str:
    """The word that a script gave, whichever way it came."""
    try:
        return (await call) or Verdict.OK
    except Fenced as fenced:
        return str(fenced)


class Pair:
    """The scripts on the log and the model of them, side by side."""

    def __init__(self, log: Log, folder: Path) -> None:
        self.desk = Desk(log, f"model{next(prefixes)}:")
        self.model = Model()
        nobody = Lease("nobody", 0)
        self.processes = {}
        for name in "ab":
            desk, fence = Desk(log, self.desk.prefix), Fence()
            desk.journal = Journal(desk.wire, desk.keys, lambda: NOW, fence)
            archive = Archive(
                desk.wire, desk.keys, lambda: NOW, KEEP_NOTHING, host="here", folder=folder, fence=fence
            )
            heads = dict.fromkeys(PLANS, Head())
            self.processes[name] = Process(name, nobody, heads, desk, fence, archive)
        self._copy: tuple[Model, dict[bytes, bytes]] | None = None

    async def step(self, call: tuple[str, ...]) -> None:
        name, *args = call
        await getattr(self, f"do_{name}")(*args)

    async def do_take(self, owner: str) -> None:
        taken = await lease.take(self.desk.wire, self.desk.keys, owner, 60_000, above=self.model.epoch)
        free = self.model.holder in {"", owner} and self.model.grant
        assert (taken is not None) is free
        if taken is not None:
            assert taken.epoch > self.model.epoch
            self.model.holder, self.model.epoch = owner, taken.epoch
            self.processes[owner].lease = taken

    async def do_copy(self) -> None:
        names = await self.desk.do("KEYS", f"{self.desk.prefix}*")
        dumps = {name: await self.desk.do("DUMP", name) for name in names}
        self._copy = msgspec.convert(msgspec.to_builtins(self.model), Model), dumps

    async def do_restore(self) -> None:
        """The log is what it was then; the processes are not. A lease does not outlive it, nor does an epoch go back."""
        if self._copy is None:
            return
        epoch, (model, dumps) = self.model.epoch, self._copy
        self.model = msgspec.convert(msgspec.to_builtins(model), Model)
        for name in await self.desk.do("KEYS", f"{self.desk.prefix}*"):
            await self.desk.do("DEL", name)
        for name, dump in dumps.items():
            await self.desk.do("RESTORE", name, 0, dump)
        await self.do_expire()
        self.model.epoch = epoch

    async def do_relearn(self, owner: str) -> None:
        """The process has compared the log with the venue, and takes it as it is."""
        self.processes[owner].fence.adopt("", self.model.written)

    async def do_orphan(self, plan: str, attempt: int) -> None:
        self.model.orphans.add((plan, attempt))
        await self.desk.do("HSET", self.desk.keys.orphans, f"sc-{plan}-{attempt}", "{}")

    async def do_adopt(self, owner: str, plan: str, attempt: int, named: str) -> None:
        intent = named.format(plan)
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        chain = Chain(plan, head)
        first: list[AnyFact] = [] if head.length else [admitted(plan)]
        expected = self.model.adopt(process.lease, plan, head.length, attempt, process.known, intent)
        adopted = process.desk.adopt(chain, attempt, held=process.lease, before=first, intent_id=intent)
        assert await said(adopted) == expected
        if expected == "OK":
            process.heads[plan] = chain.head

    async def do_drop(self, owner: str) -> None:
        held = self.processes[owner].lease
        await lease.drop(self.desk.wire, self.desk.keys, held)
        if (held.owner, held.epoch) == (self.model.holder, self.model.epoch):
            self.model.holder = ""

    async def do_expire(self) -> None:
        await self.desk.do("DEL", self.desk.keys.lease)
        self.model.holder = ""

    async def do_freeze(self) -> None:
        self.model.frozen = not self.model.frozen
        if self.model.frozen:
            await self.desk.do("HSET", self.desk.keys.freeze, "at", "now")
        else:
            await self.desk.do("DEL", self.desk.keys.freeze)

    async def do_grant(self) -> None:
        self.model.grant = not self.model.grant
        component = COMPONENT if self.model.grant else "harvest_brain"
        await self.desk.do("HSET", self.desk.keys.grant, "component", component)

    async def do_warrant(self, plan: str) -> None:
        self.model.warrants.add(plan)
        await self.desk.do("SET", self.desk.keys.warrant(f"intent-{plan}"), plan)

    async def do_look(self, owner: str, plan: str) -> None:
        loaded = await self.desk.journal.load(plan)
        self.processes[owner].heads[plan] = Head() if loaded is None else loaded.head

    async def do_append(self, owner: str, plan: str) -> None:
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        chain = Chain(plan, head)
        chain.unwritten.append(
            Resumed(worker=owner, epoch=process.lease.epoch) if head.length else admitted(plan)
        )
        expected = self.model.append(process.lease, plan, head.length, process.known)
        assert await said(process.desk.journal.append(chain, process.lease)) == expected
        if expected == "OK":
            process.heads[plan] = chain.head

    async def do_gate(self, owner: str, plan: str, off: int, named: str) -> None:
        intent = named.format(plan)
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        chain, attempt = Chain(plan, head), self.model.closes[plan].attempt + 1 + off
        first: list[AnyFact] = [] if head.length else [admitted(plan)]
        expected = self.model.gate(process.lease, plan, head.length, attempt, process.known, intent)
        passed = process.desk.gate(chain, attempt, held=process.lease, before=first, intent_id=intent)
        assert await said(passed) == expected
        assert chain.unwritten == ([] if expected == "OK" else first)
        if expected == "OK":
            process.heads[plan] = chain.head

    async def do_permit(self, owner: str, plan: str, says: bool) -> None:
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        chain = Chain(plan, head)
        # Nothing of a close that is flat on arrival was written before it cancels what is left over.
        more: list[AnyFact] = [] if head.length else [admitted(plan)]
        more += [Clearing(why=Why.BLOCKING, orders=())] if says else []
        expected = self.model.permit(process.lease, plan, head.length, len(more), process.known)
        assert await said(process.desk.permit(chain, held=process.lease, before=more)) == expected
        assert chain.unwritten == ([] if expected == "OK" else more)
        if expected == "OK":
            process.heads[plan] = chain.head

    async def do_resolve(self, owner: str, plan: str) -> None:
        """A person needs no lease, and knows the close as it was read last."""
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        expected = self.model.resolve(plan, head.length, process.known)

        async def settle() -> None:
            await process.desk.resolve(plan, head)

        assert await said(settle()) == expected

    async def do_publish(self, owner: str, plan: str, state: str) -> None:
        process, head = self.processes[owner], self.processes[owner].heads[plan]
        chain = Chain(plan, head)
        chain.unwritten += [] if head.length else [admitted(plan)]
        outcome = ended(ENDS[state])
        named = (SHARED, f"intent-{plan}")
        expected = self.model.publish(process.lease, plan, head.length, state, process.known, named)
        claims = tuple(Claim(intent, SYMBOL, PositionSide.BOTH) for intent in named)
        done = process.desk.publish(chain, outcome, held=process.lease, claims=claims)
        assert await said(done) == expected
        if expected == "OK":
            process.heads[plan] = chain.head

    async def do_archive(self, owner: str) -> None:
        """Without the file: what the log lets go does not depend on it."""
        process = self.processes[owner]
        held, archive = process.lease, process.archive
        closes, place = await archive.due(), await archive.next_place()
        expected = self.model.archive(held, process.known)
        written = Written(
            temporary=Path(), path=Path(), sha256="0" * 64, size=0, closes=len(closes), records=0
        )
        try:
            if closes:
                await archive.anchor(held, written, place, closes)
            said = "OK" if closes else "NOTHING"
        except NotAnchored as refused:
            said = str(refused)
        assert said == expected

    async def same(self) -> None:
        flight = await self.desk.do("HGET", self.desk.keys.flights(SYMBOL), "BOTH")
        assert (flight or b"").decode() == self.model.flight
        still_open = set(await self.desk.journal.open_plans())
        assert set(await self.desk.journal.parked_plans()) == self.model.parked
        for plan, close in self.model.closes.items():
            loaded = await self.desk.journal.load(plan)
            if plan in self.model.burnt:
                assert loaded is not None
                assert loaded.burnt is not None
                continue
            assert (0 if loaded is None else loaded.head.length) == close.records
            assert ("" if loaded is None else loaded.state) == close.state
            assert (plan in still_open) is (close.state == "OPEN")
            numbers = [] if loaded is None else [f.attempt for f in loaded.facts if isinstance(f, Sending)]
            assert numbers == sorted(set(numbers)), "no number twice"
            assert (numbers or [0])[-1] == close.attempt


@pytest.fixture
async def hasty(log: Log) -> AsyncIterator[Log]:
    """The log without waiting for its disk: what a script promises does not depend on it, and most of the time would."""
    desk = Desk(log, "")
    await desk.do("CONFIG", "SET", "appendfsync", "no")
    yield log
    await desk.do("CONFIG", "SET", "appendfsync", "always")


@settings(
    max_examples=600 * EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(calls, max_size=20))
async def test_scripts_and_model_agree_on_every_history(hasty: Log, history: list[tuple[str, ...]]) -> None:
    pair = Pair(hasty, Path("nowhere"))
    await pair.desk.do("HSET", pair.desk.keys.grant, "component", COMPONENT)
    for opening in (("take", "a"), *history):
        await pair.step(opening)
    await pair.same()
