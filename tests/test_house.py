"""The house plan of DESIGN section 9, read from the source: who may know whom, and what may stand nowhere."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

import sureclose

ROOT = Path(sureclose.__file__).parent
LONGEST_FILE = 450
ACTS = "fault_points"
"""What all rooms that act may say: that a step was reached. It knows nothing of them, and the domain doesn't act."""
ROOMS = {"domain", "streams", "journal", "venue", "services", "operate", "paper", "client", "cli"}

MAY_KNOW: dict[str, set[str]] = {
    "domain": set(),
    ACTS: set(),
    "streams": {"domain", ACTS},
    # Outcome, confirmation and acknowledgement are one script over journal and streams (docs/design-notes.md).
    "journal": {"domain", "streams", ACTS},
    "venue": {"domain", ACTS},
    "services": {"domain", "streams", "journal", "venue", ACTS},
    "operate": {"domain", "streams", "journal", "venue", "services"},
    "paper": set(),
    "client": set(),
    "cli": ROOMS - {"client"} | {"config", "policies"},
    "config": ROOMS - {"cli", "client"},
    # What people's own policies import: names of the domain, and a clock for their check.
    "policies": {"domain"},
    "__main__": {"cli"},
}
DOMAIN_MAY_IMPORT = {"msgspec"} | (
    set(sys.stdlib_module_names)
    - {"asyncio", "time", "random", "secrets", "socket", "threading", "subprocess", "os"}
)
DOMAIN_MAY_ALSO_IMPORT = {
    "domain/harvest/statistics.py": {"numpy"},
}
"""Imported itself only when the first klines are judged (tests/domain/harvest/test_market_state.py)."""
FLOATS = {
    "venue/exchange_info.py": "times of the steady clock, in seconds: minus infinity is never",
    "venue/positions.py": "a time of the steady clock, in seconds: minus infinity is never",
    "venue/transport.py": "aiohttp's own threshold for rounding timeouts",
}
"""Where ``float(`` stands although quantities and prices are decimals end to end, and why it is neither."""
BLOCKING = {
    "streams/binary.py": {"subprocess.run": "run in a thread by its callers, with a timeout"},
}
BLOCKING_CALLS = {
    "time.sleep",
    "os.system",
    "os.popen",
    "subprocess.run",
    "subprocess.call",
    "subprocess.check_call",
    "subprocess.check_output",
    "socket.create_connection",
    "urllib.request.urlopen",
    "input",
}
BLOCKING_MODULES = {"requests", "httpx", "urllib.request", "http.client"}


class Module(msgspec.Struct, frozen=True):
    """One source file: its path below the package, its room, its text and its tree."""

    path: str
    room: str
    text: str
    tree: ast.Module

    def imports(self) -> Iterator[tuple[int, str]]:
        """Line and full name of every module imported anywhere in the file, also inside functions."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((node.lineno, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}:{node.lineno}: imports are absolute"
                yield node.lineno, str(node.module)
                if node.module == "sureclose":
                    yield from ((node.lineno, f"sureclose.{alias.name}") for alias in node.names)

    def calls(self) -> Iterator[tuple[int, str]]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, ast.unparse(node.func)


def _modules() -> list[Module]:
    found = []
    for file in sorted(ROOT.rglob("*.py")):
        path = file.relative_to(ROOT)
        text = file.read_text()
        room = path.parts[0] if len(path.parts) > 1 else path.stem
        found.append(Module(path.as_posix(), room, text, ast.parse(text)))
    return found


MODULES = _modules()
INSIDE = [module for module in MODULES if module.path != "__init__.py"]


def rooms_known_by(module: Module) -> Iterator[tuple[int, str]]:
    for line, name in module.imports():
        parts = name.split(".")
        if parts[0] == "sureclose" and len(parts) > 1 and parts[1] in MAY_KNOW:
            yield line, parts[1]


def test_all_rooms_are_there_and_there_are_no_others() -> None:
    found = {module.room for module in INSIDE}
    assert found == set(MAY_KNOW)


@pytest.mark.parametrize("room", MAY_KNOW)
def test_no_file_knows_more_than_its_room_may(room: str) -> None:
    allowed = MAY_KNOW[room] | {room}
    wrong = [
        f"{module.path}:{line} knows {known}"
        for module in INSIDE
        if module.room == room
        for line, known in rooms_known_by(module)
        if known not in allowed
    ]
    assert not wrong


def test_nothing_but_the_entry_point_knows_the_command_line() -> None:
    wrong = [
        f"{module.path}:{line}"
        for module in INSIDE
        if module.room not in {"cli", "__main__"}
        for line, known in rooms_known_by(module)
        if known == "cli"
    ]
    assert not wrong


def test_the_domain_knows_no_clock_no_chance_and_no_outside() -> None:
    wrong = []
    for module in INSIDE:
        if module.room != "domain":
            continue
        allowed = DOMAIN_MAY_IMPORT | {"sureclose"} | DOMAIN_MAY_ALSO_IMPORT.get(module.path, set())
        for line, name in module.imports():
            if name.split(".")[0] not in allowed:
                wrong.append(f"{module.path}:{line} imports {name}")
        for line, call in module.calls():
            if call.endswith((".now", ".utcnow", ".today")) or call in {
                "open",
                "print",
                "input",
                "hash",
                "id",
            }:
                wrong.append(f"{module.path}:{line} calls {call}")
        wrong += [
            f"{module.path}:{node.lineno} is asynchronous"
            for node in ast.walk(module.tree)
            if isinstance(node, ast.AsyncFunctionDef | ast.Await)
        ]
    assert not wrong


@pytest.mark.parametrize("room", ["paper", "client"])
def test_what_speaks_a_protocol_shares_nothing_with_the_other_end(room: str) -> None:
    """A mistake that both ends made would be a test that passes."""
    own = f"sureclose.{room}"
    for module in INSIDE:
        names = {name for _, name in module.imports() if name.split(".")[0] == "sureclose"}
        if module.room == room:
            assert all(name == own or name.startswith(f"{own}.") for name in names), names
        elif module.room not in {"cli", "operate"}:
            assert not any(name.startswith(own) for name in names)


def test_no_file_is_too_long_to_read_in_one_sitting() -> None:
    lengths = {module.path: len(module.text.splitlines()) for module in MODULES}
    assert {path: length for path, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_float_is_made_where_quantities_and_prices_live() -> None:
    rooms = {"domain", "venue", "services", "journal", "paper"}
    found = {
        module.path
        for module in INSIDE
        if module.room in rooms
        for _, call in module.calls()
        if call == "float"
    }
    assert found == set(FLOATS)
    for module in INSIDE:
        if module.path in FLOATS:
            values = [
                ast.unparse(node.args[0])
                for node in ast.walk(module.tree)
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "float"
            ]
            assert set(values) <= {"'inf'", "'-inf'"}, f"{module.path}: {FLOATS[module.path]}"


def test_nothing_blocks_the_event_loop() -> None:
    wrong = []
    for module in INSIDE:
        allowed = BLOCKING.get(module.path, {})
        wrong += [
            f"{module.path}:{line} calls {call}"
            for line, call in module.calls()
            if call in BLOCKING_CALLS - set(allowed)
        ]
        wrong += [
            f"{module.path}:{line} imports {name}"
            for line, name in module.imports()
            if name in BLOCKING_MODULES
        ]
        if module.room != "cli":
            wrong += [
                f"{module.path}:{line} imports the blocking client"
                for line, name in module.imports()
                if name in {"redis", "redis.client"}
            ]
    assert not wrong


def test_what_is_excused_here_is_still_there() -> None:
    by_path = {module.path: {call for _, call in module.calls()} for module in INSIDE}
    for path, calls in BLOCKING.items():
        assert set(calls) <= by_path[path]
    for path in FLOATS:
        assert "float" in by_path[path]


def test_no_exception_is_swallowed_whole() -> None:
    wrong = []
    for module in INSIDE:
        for node in ast.walk(module.tree):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = "everything" if node.type is None else ast.unparse(node.type)
            broad = caught in {"everything", "Exception", "BaseException"}
            silent = all(isinstance(part, ast.Pass | ast.Continue | ast.Break) for part in node.body)
            if broad and silent:
                wrong.append(f"{module.path}:{node.lineno} swallows {caught}")
            if caught in {"everything", "BaseException"} and not any(
                isinstance(part, ast.Raise) for part in ast.walk(node)
            ):
                wrong.append(f"{module.path}:{node.lineno} catches {caught} and doesn't raise it again")
    assert not wrong


def test_only_the_venue_writes_an_order_and_only_the_close_engine_sends_one() -> None:
    """I1: there is one door to the venue, and it stands behind the gate."""
    makers = {module.path for module in INSIDE for _, call in module.calls() if call == "ReducingOrder"}
    assert makers == {"services/posting.py"}
    senders = {
        module.path
        for module in INSIDE
        if module.room in {"services", "operate", "cli"}
        for _, call in module.calls()
        if call.endswith("venue.place")
    }
    assert senders == {"services/posting.py"}
    posters = {module.path for module in INSIDE for _, call in module.calls() if call == "post"}
    assert posters == {"services/closing.py"}
