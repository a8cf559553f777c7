"""The map and its document, computed from evidence that a test makes up: unknown stays unknown, foreign is listed."""

import hashlib
from typing import Any, Final

import msgspec

from sureclose.domain.arming import Armed, Arming
from sureclose.domain.authority import Authority, Cause, Component, Level, Trigger, first, freeze
from sureclose.domain.components import Facts
from sureclose.domain.levels import Holder, Works
from sureclose.operate.authority_document import render_map
from sureclose.operate.authority_evidence import Gathered, Group, Held, Piece
from sureclose.operate.authority_map import Map, Row, compute
from sureclose.operate.producers import Trace, trace_of, writer_of
from sureclose.services.settings import HarvestBrainSettings, StreamSettings
from tests.domain.test_levels import NOW, announced

STREAMS: Final = StreamSettings(prefix="p:")
OPEN: Final = (Held(symbol="BTCUSDT", position_side="BOTH", amount="-0.5"),)


def group(**more: Any) -> Group:
    usual: dict[str, Any] = {
        "stream": "p:apply.result",
        "group": "execution_service_exits",
        "readable": 0,
        "lost": 0,
        "waits": False,
        "oldest_waiting": None,
        "last_delivered_id": f"{NOW - 5_000}-0",
        "delivered_at": NOW - 5_000,
        "pending": 0,
        "asked_at": NOW - 500,
        "consumers": 1,
        "lively": True,
    }
    return Group(**(usual | more))


def piece(name: str, value: object = None, error: str = "") -> Piece:
    text = msgspec.json.encode(value)
    return Piece(name=name, at=NOW, json=text.decode(), sha256=hashlib.sha256(text).hexdigest(), error=error)


GATHERED: Final = Gathered(
    at=NOW,
    standing=first(Component.EXECUTION_SERVICE, NOW - 60_000),
    holder=Holder(owner="h:7:ab", epoch=2, component="execution_service"),
    announced=(announced(),),
    groups=(group(),),
    traces=(),
    works={},
    positions=(),
    safety={},
    audit=None,
    pieces=(piece("lease"),),
)


def mapped(**more: Any) -> Map:
    return compute(
        msgspec.structs.replace(GATHERED, **more),
        account="paper:main",
        environment="paper",
        streams=STREAMS,
        harvest=HarvestBrainSettings(),
        most_in_flight=10,
        ghost_ms=120_000,
    )


def row(found: Map, component: str, *, foreign: bool = False) -> Row:
    return next(one for one in found.components if (one.component, one.foreign) == (component, foreign))


def test_one_in_control_and_nothing_frozen_is_healthy() -> None:
    found = mapped(positions=OPEN)
    assert [one.component for one in found.controllers] == ["execution_service"]
    assert found.healthy
    assert found.uncontrolled == ()


def test_frozen_nobody_controls_what_is_open() -> None:
    cause = Cause(trigger=Trigger.COMMAND, reason="a look", at=NOW, actor="ann")
    found = mapped(standing=freeze(GATHERED.standing or Authority(), cause), positions=OPEN)
    assert found.controllers == ()
    assert row(found, "execution_service").reasons == ("frozen: COMMAND",)
    assert found.uncontrolled == OPEN
    assert not found.healthy
    assert found.freeze is not None
    assert [one.trigger for one in found.freeze.triggers] == ["COMMAND"]


def test_positions_that_cant_be_read_are_unknown_and_never_none() -> None:
    failed = (piece("positions", error="VenueError: 503"),)
    found = mapped(positions=None, holder=None, pieces=failed)
    assert found.uncontrolled is None
    assert found.unknown == {"positions": "VenueError: 503"}
    assert "## Open positions\n\nUnknown: VenueError: 503\n" in render_map(found)


def test_the_safety_controller_is_armed_until_it_was_disarmed_or_its_time_is_over() -> None:
    """And it was armed under the freeze that stands. Where its record can't be read, or is none, that is not known."""
    cause = Cause(trigger=Trigger.COMMAND, reason="a look", at=NOW - 1, actor="ann")
    frozen = freeze(GATHERED.standing or Authority(), cause)
    arming = Arming(
        state=Armed.ARMED,
        actor="ann",
        armed_at=NOW,
        expires_at=NOW + 1,
        revision=1,
        freeze_at=str(NOW - 1),
    )
    armed = arming.record()
    assert mapped(safety=armed, standing=frozen).safety_armed is True
    assert mapped(safety=armed).safety_armed is False, "an unfreeze ends what it may do"
    for over in ({"expires_at": str(NOW)}, {"state": "DISARMED"}, {"freeze_at": str(NOW - 2)}):
        assert mapped(safety=armed | over, standing=frozen).safety_armed is False
    assert mapped(safety={}).safety_armed is False
    assert mapped(safety={"who": "knows"}).safety_armed is None
    assert mapped(safety=None).safety_armed is None


def test_a_registry_that_cant_be_read_is_said_of_each_component() -> None:
    failed = (piece("registry", error="ResponseError: WRONGTYPE"),)
    found = mapped(announced=None, pieces=failed)
    said = row(found, "execution_service").reasons
    assert said == ("registry could not be read: ResponseError: WRONGTYPE",)


def test_groups_that_cant_be_read_leave_nobody_in_control() -> None:
    assert mapped(groups=None).controllers == ()


def test_the_granted_component_is_listed_though_there_is_no_trace_of_it() -> None:
    found = mapped(announced=(), holder=None, groups=())
    assert [one.component for one in found.at_level(Level.DEAD)] == ["execution_service"]
    assert not found.healthy


def test_older_services_are_listed_by_their_traces_beside_ours_of_the_same_name() -> None:
    traces = (
        Trace(
            stream="p:harvest.intent",
            name="apply_layer",
            ours=False,
            entries=200,
            newest_at=NOW - 10,
            decisions={"SKIP": 200},
        ),
    )
    stale = group(  # incident 6: 34 consumers, all dead
        group="harvest_brain:old", consumers=34, lively=False, asked_at=NOW - 10_000_000, readable=None
    )
    found = mapped(traces=traces, groups=(group(), stale))
    writer = row(found, "apply_layer", foreign=True)
    assert writer.level == "OBSERVER"
    assert "nobody reads what it writes to p:harvest.intent" in writer.reasons
    assert any("200 SKIP" in line.what for line in writer.evidence)
    reader = row(found, "harvest_brain:old", foreign=True)
    assert reader.level == "DEAD"
    assert any("unread unknown" in line.what for line in reader.evidence)


def test_orders_count_for_the_component_whose_process_wrote_them() -> None:
    works = {
        "execution_service": Works(orders=2, ordered_at=NOW - 9, outcomes=1, ended_at=NOW - 8),
        "harvest_brain": Works(orders=5, ordered_at=NOW, outcomes=5, ended_at=NOW),
    }
    said = [line.what for line in row(mapped(works=works), "execution_service").evidence]
    assert "2 orders in the newest records" in said
    assert "1 outcomes in the newest records" in said


def test_a_holder_without_room_is_in_control_of_what_it_has() -> None:
    full = announced(facts=Facts(waits="no_room"))
    waits = group(waits=True, readable=9, oldest_waiting=f"{NOW - 900_000}-0", asked_at=NOW - 60_000)
    assert mapped(announced=(full,), groups=(waits,)).healthy
    assert not mapped(groups=(waits,)).healthy


def test_the_document_has_each_piece_with_a_hash_that_can_be_checked_and_nothing_breaks_out_of_it() -> None:
    """A producer's free text stays in its cell."""
    traces = (
        Trace(stream="p:apply.plan", name="a|b\n# Title", ours=False, entries=1, newest_at=NOW, decisions={}),
    )
    pieces = (piece("producers", ["a|b\n# Title"]), piece("lease", None))
    page = render_map(mapped(traces=traces, pieces=pieces))
    assert "\n# Title" not in page
    assert "a\\|b # Title (foreign)" in page
    for one in pieces:
        assert one.sha256 in page
        assert hashlib.sha256(one.json.encode()).hexdigest() == one.sha256
        assert f"````json\n{one.json}\n````" in page
    assert "* In control: execution_service" in page


def test_incident_24_writers_are_named_by_our_stamp_or_as_older_entries_name_them() -> None:
    ours = {"schema": "sureclose/1", "producer": '{"name":"execution","version":"1","host":"h","pid":1}'}
    assert writer_of(ours) == ("execution_service", True)
    assert writer_of({"schema": "sureclose/1", "producer": "broken"}) == ("unnamed", False)
    assert writer_of({"source": "harvest_v2", "payload": "{}"}) == ("harvest_v2", False)
    assert writer_of({"event_type": "x", "payload": '{"source": "intent_bridge"}'}) == (
        "intent_bridge",
        False,
    )
    assert writer_of({"data": "[1]"}) == ("unnamed", False)


def test_of_each_writer_the_newest_entry_and_its_decisions_are_known() -> None:
    entries = [("9-0", {"source": "a", "decision": "CLOSE"}), ("8-1", {"source": "a", "decision": "SKIP"})]
    assert trace_of("s", entries) == [
        Trace(stream="s", name="a", ours=False, entries=2, newest_at=9, decisions={"CLOSE": 1, "SKIP": 1})
    ]
