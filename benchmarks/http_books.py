"""What came of it, by those who can't be wrong: the exchange's books, the log's keys and file, the processes' own sizes."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.http_mix import Wish
from sureclose.streams.wire import Wire


class Size(msgspec.Struct, frozen=True):
    """Of the processes with a door, summed."""

    memory_mib: float
    open_files: int


def size(pids: Iterable[int]) -> Size:
    """Resident memory and open files, from proc(5)."""
    memory, files = 0, 0
    for pid in pids:
        status = Path(f"/proc/{pid}/status").read_text()
        memory += int(status.partition("VmRSS:")[2].split()[0])
        files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Size(memory / 1024, files)


class Books:
    """The exchange's records at one moment."""

    def __init__(self, records: dict[str, Any]) -> None:
        self._by_id = {order["clientOrderId"]: order for order in records["orders"]}
        self.orders = [order for order in records["orders"] if Decimal(order["executedQty"])]

    def faults(self, wishes: Sequence[Wish], closes: dict[str, dict[str, Any]]) -> list[str]:
        """What is lost, doubled or too much. ``closes`` are the documents of the door, by the key of the wish."""
        found = []
        wanted: dict[str, Decimal] = defaultdict(Decimal)
        for wish in wishes:
            wanted[wish.symbol] += wish.quantity
            close = closes.get(wish.key)
            if close is None:
                found.append(f"{wish.key} was never taken in")
                continue
            ids = close.get("client_order_ids", [])
            filled = sum(Decimal(self._by_id[one]["executedQty"]) for one in ids if one in self._by_id)
            if close["state"] != "reduced" or filled != wish.quantity:
                found.append(f"{wish.key} is {close['state']} with {filled} of {wish.quantity} filled")
        moved: dict[str, Decimal] = defaultdict(Decimal)
        for order in self.orders:
            moved[order["symbol"]] += Decimal(order["executedQty"])
            if order["reduceOnly"] is not True:
                found.append(f"{order['clientOrderId']} does not reduce")
        found += [
            f"{symbol}: {moved[symbol]} closed of {wanted[symbol]}"
            for symbol in {*wanted, *moved}
            if moved[symbol] != wanted[symbol]
        ]
        if len(self.orders) != len(wishes):
            found.append(f"{len(self.orders)} orders for {len(wishes)} wishes")
        return found


async def keys_of(wire: Wire, kind: str) -> int:
    """How many keys of that kind the log holds."""
    cursor, found = b"0", 0
    while True:
        cursor, page = await wire.execute_command(b"SCAN", cursor, b"MATCH", f"*:{kind}:*", b"COUNT", 1_000)
        found += len(page)
        if cursor in {b"0", 0}:
            return found


def secrets_in(folder: Path, secrets: Sequence[str]) -> list[str]:
    """Files below that hold one of them: what the processes said, and the log's own file."""
    wanted = [secret.encode() for secret in secrets]
    return [
        file.name
        for file in folder.rglob("*")
        if file.is_file() and any(secret in file.read_bytes() for secret in wanted)
    ]
