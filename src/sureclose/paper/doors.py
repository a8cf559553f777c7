"""What happens to a request behind either door: admitted, executed, and met by faults on the way."""

import hmac
from collections.abc import Callable
from dataclasses import replace

import structlog

from sureclose.paper.answers import PHANTOM, UNKNOWN, Delivery, Reply, refused
from sureclose.paper.call import Call, Record, Route
from sureclose.paper.errors import VenueError, banned, example
from sureclose.paper.faults import Fault
from sureclose.paper.kinds import KINDS, When
from sureclose.paper.signature import deadline
from sureclose.paper.wire import encode

log = structlog.get_logger("sureclose.paper")


def check_key(given: str | None, known: str, ip: str) -> None:
    if not given:
        raise VenueError(-2014)
    if not hmac.compare_digest(given.encode("utf-8", "surrogateescape"), known.encode()):
        raise VenueError(-2015, ip=ip)


def spend(route: Route, call: Call) -> None:
    """Count the call against the limits, whichever way it came; raises the refusal when they are exceeded."""
    call.house.limits.spend(
        call.ip,
        call.now,
        weight=route.weigh(call.params),
        orders_10s=route.orders_10s,
        orders_1m=route.orders_1m,
    )


def run(route: Route, call: Call) -> Reply:
    """The operation's answer. What it raises beyond refusals is our mistake: logged, and a 500."""
    try:
        call.house.desk.sweep_if_needed()
        return Reply(200, encode(route.operation(call)))
    except VenueError as refusal:
        return refused(refusal)
    except Exception:
        log.exception("paper exchange bug", route=call.route, params=call.params.as_dict())
        bug = VenueError(-1000)
        return Reply(bug.status, bug.as_json(), {}, bug.code)


def carry_out(call: Call, admit: Callable[[], Route], received_ns: int) -> Reply:
    """Admit and execute a request, remember it, and answer as armed faults have it.

    `admit` finds the route and raises the refusal of a request that isn't entitled to it.
    """
    if call.house.faults:
        return _carry_out_under_faults(call, admit, received_ns)
    try:
        reply = run(admit(), call)
    except VenueError as refusal:
        reply = refused(refusal)
    call.house.note(call, reply.status, reply.code, received_ns)
    return reply


def _carry_out_under_faults(call: Call, admit: Callable[[], Route], received_ns: int) -> Reply:
    house = call.house
    delayed: Fault | None = None
    route: Route | None = None
    admitted = True
    before = _first(call, When.BEFORE)
    if before is not None:
        reply = _instead(before, call)
    else:
        try:
            route = admit()
            delayed = _first(call, When.ADMITTED) if route.orders_10s else None
            reply = run(route, call) if delayed is None else _put_off(delayed)
        except VenueError as refusal:
            reply, admitted = refused(refusal), False
    shown = reply
    if admitted and reply.delivery is not Delivery.NOTHING:
        after = _first(call, When.AFTER)
        if after is not None:
            shown = KINDS[after.fault].shape.on(reply, after.ms)
    noted = UNKNOWN if before is not None and reply.status == 200 else reply
    record = house.note(call, noted.status, noted.code, received_ns)
    if delayed is not None and route is not None:
        _execute_later(delayed, route, call, record)
    return shown


def _first(call: Call, when: When) -> Fault | None:
    fault = call.house.faults.first(when, call.route, call.params.as_dict(), call.now)
    if fault is not None:
        call.struck.append(fault.fault)
    return fault


def _instead(fault: Fault, call: Call) -> Reply:
    seconds = -(-fault.ms // 1000)
    if fault.fault == "refused":
        return replace(refused(example(fault.code, call.ip)), delay=fault.ms)
    if fault.fault == "rate_limited":
        refusal = example(-1003, call.ip)
        refusal.retry_after = seconds
        return refused(refusal)
    if fault.fault == "banned":
        return refused(banned(call.ip, call.now + fault.ms, seconds))
    return KINDS[fault.fault].shape.on(PHANTOM, fault.ms)


def _put_off(fault: Fault) -> Reply:
    """What is answered at once to a request that is executed later."""
    delivery = Delivery.NOTHING if fault.answer == "hang_up" else Delivery.WHOLE
    return replace(UNKNOWN, delivery=delivery, headers={})


def _execute_later(fault: Fault, route: Route, call: Call, record: Record) -> None:
    """Try the execution at its time and judge the window then; `record` tells what became of it."""
    last = deadline(call.params)
    due = call.now + fault.ms if fault.until_deadline_ms is None else last - fault.until_deadline_ms
    due = max(due, call.now)
    record["later"] = {"at": due, "state": "waiting"}

    def act(now: int) -> None:
        late = replace(call, now=now)
        with call.desk.at(now):
            reply = refused(VenueError(-5028)) if now > last else run(route, late)
        state = "executed" if reply.status == 200 else "refused"
        record["later"] = {"at": now, "state": state}
        record["status"], record["code"] = reply.status, reply.code

    call.house.late.put(due, act)
