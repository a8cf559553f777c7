"""What the user data stream tells a close of its own orders: now, late, or what was so a moment ago."""

from collections.abc import Iterator

from sureclose.domain import steps
from sureclose.domain.facts import Via
from sureclose.domain.market import OrderReport
from tests.model import exchange
from tests.model.core import after, after_news
from tests.model.faults import PLACE, Fault
from tests.model.move import Move
from tests.model.shell import Shell
from tests.model.terms import EFFECTS
from tests.model.world import NAMES, PLANS, Closing, Kind, Phase, World, spend


def news(world: World, name: int, plan: int, shell: Shell) -> Iterator[Move]:
    closing = world.processes[name].closings[plan]
    assert closing is not None
    if closing.phase is Phase.RECALL or not world.budget[PLACE[Fault.NEWS]]:
        return
    told = spend(world, Fault.NEWS)
    assert told is not None
    for place, change in enumerate(world.venue):
        if change.kind is not Kind.ACCEPTED or change.plan != plan:
            continue
        reports = [
            exchange.order(world.venue[:cut], plan, change.attempt) for cut in (place + 1, len(world.venue))
        ]
        for order in reports[:1] if reports[0] == reports[1] else reports:
            assert order is not None
            if closing.phase is Phase.ANSWER and not _ends(closing, order):
                continue  # it is kept, and has its turn after the answer
            event = steps.OrderSeen(now=world.now, order=order, via=Via.STREAM)
            if closing.phase is Phase.ANSWER:
                decided = after(closing.state, event)
            else:
                decided = after_news(closing.state, event, closing.effect)
            words = f"{NAMES[name]}, {PLANS[plan]}: is told of an order {order.status}"
            yield Move(words, shell.put(told, name, plan, closing, decided), faulty=True)


def _ends(closing: Closing, order: OrderReport) -> bool:
    """Whether the news says that the order whose answer is awaited has ended, so that the answer need not come."""
    effect = EFFECTS[closing.effect]
    assert isinstance(effect, steps.Send)
    return order.terminal and order.client_order_id == effect.sending.client_order_id
