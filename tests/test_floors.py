"""The house: who may import whom, who may know the reactor and the time, how long modules are."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.cases import BridgeTestCase

SOURCE = Path(__file__).resolve().parents[1] / "src" / "bridge"
LONGEST_MODULE = 400

FLOORS = {
    **dict.fromkeys(("config", "assembly", "service", "lifecycle", "database", "status"), 7),
    **dict.fromkeys(("welcome", "cli", "demo", "upstreams", "reload", "reload_outcome"), 7),
    "recording_changes": 7,
    **dict.fromkeys(("bedrock", "limits", "siem", "pages", "privacy", "keeping"), 7),
    **dict.fromkeys(("workers", "part", "storing", "scraping"), 7),
    **dict.fromkeys(("web", "retention"), 6),
    "content_passes": 5,
    "intercept": 5,
    **dict.fromkeys(("policy", "recording", "administration"), 4),
    **dict.fromkeys(("providers", "upstream", "auth", "mcp", "store"), 3),
    "dialects": 2,
    **dict.fromkeys(
        ("wire", "telemetry", "journal", "deferreds", "bodies", "periodic", "version"), 1
    ),
    **dict.fromkeys(("deadlines", "large_pages", "listening", "sending", "systemd"), 1),
    "whole_file": 1,
    "domain": 0,
}
"""First name below `bridge` → floor."""
CONFIGURATION_READERS = frozenset(
    {
        "config",
        "assembly",
        "service",
        "lifecycle",
        "database",
        "siem",
        "status",
        "welcome",
        "cli",
        "upstreams",
        "bedrock",
        "limits",
        "privacy",
        "keeping",
        "recording_changes",
        "reload",
        "storing",
        "workers",
    }
)
WALL_CLOCK = frozenset(
    {("time", "time"), ("time", "time_ns"), ("time", "sleep"), ("datetime", "now"),
     ("datetime", "utcnow"), ("datetime", "today"), ("date", "today")}
)  # fmt: skip


def imports_in(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) of everything that is imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or ""
            for name in node.names:
                yield node.lineno, f"{node.module}.{name.name}"


def room_of(path: Path) -> str:
    """Return the first name below `bridge` of a module: a package or a module of its own."""
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


def wrong_imports(room: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield what a module in `room` imports against the rules."""
    for line, name in imports_in(tree):
        parts = name.split(".")
        if parts[0] == "twisted" and FLOORS[room] in (0, 2):
            yield line, f"{name} on floor {FLOORS[room]}"
        if name == "twisted.internet.reactor" and room not in ("service", "cli", "demo", "workers"):
            yield line, "the global reactor"
        if parts[0] != "bridge" or len(parts) < 2 or parts[1] not in FLOORS:
            continue
        there = parts[1]
        if there == "config" and room not in CONFIGURATION_READERS:
            yield line, f"{name}: only floor 7 knows the configuration"
        if there != room and FLOORS[there] >= FLOORS[room] and FLOORS[room] != 7:
            yield line, f"{name} (floor {FLOORS[there]}) from floor {FLOORS[room]}"
        if FLOORS[room] == 7 and there in ("assembly", "service", "cli") and there != room:
            allowed = dict.fromkeys(("service", "lifecycle", "reload", "workers"), ("assembly",))
            if there not in allowed.get(room, ()):
                yield line, f"{name} from {room}"


def wall_clock_calls(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield calls that ask the machine for the time instead of an injected clock."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
        if (name, node.attr) in WALL_CLOCK:
            yield node.lineno, f"{name}.{node.attr}"


class HouseTests(BridgeTestCase):
    def modules(self) -> list[tuple[Path, ast.AST]]:
        found = sorted(SOURCE.rglob("*.py"))
        self.assertGreater(len(found), 60)
        return [(path, ast.parse(path.read_text(), str(path))) for path in found]

    def offences(self, rule) -> list[str]:
        return [
            f"{path.relative_to(SOURCE)}:{line}: {what}"
            for path, tree in self.modules()
            if path.parent != SOURCE or path.stem != "__init__"
            for line, what in rule(room_of(path), tree)
        ]

    def test_every_room_has_a_floor(self) -> None:
        rooms = {room_of(path) for path, _ in self.modules()} - {"__init__"}

        self.assertEqual(rooms - set(FLOORS), set())

    def test_modules_import_only_lower_floors(self) -> None:
        self.assertEqual(self.offences(wrong_imports), [])

    def test_a_wrong_import_is_found(self) -> None:
        tree = ast.parse("from bridge.web.site import BridgeSite\nimport twisted.internet.defer")

        found = [what for _, what in wrong_imports("domain", tree)]

        self.assertIn("bridge.web.site (floor 6) from floor 0", found)
        self.assertIn("twisted.internet.defer on floor 0", found)

    def test_time_comes_from_a_clock_that_is_handed_in(self) -> None:
        def rule(room: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
            return wall_clock_calls(tree)

        self.assertEqual(self.offences(rule), [])

    def test_a_wall_clock_call_is_found(self) -> None:
        tree = ast.parse("import time, datetime\ntime.time()\ndatetime.datetime.now()")

        self.assertEqual(
            [what for _, what in wall_clock_calls(tree)], ["time.time", "datetime.now"]
        )

    def test_no_module_is_longer_than_400_lines(self) -> None:
        long = [
            f"{path.relative_to(SOURCE)}: {count}"
            for path, _ in self.modules()
            if (count := len(path.read_text().splitlines())) > LONGEST_MODULE
        ]

        self.assertEqual(long, [])

    def test_packages_only_say_what_they_are(self) -> None:
        for path, tree in self.modules():
            if path.name != "__init__.py":
                continue
            kinds = [type(node).__name__ for node in tree.body]
            self.assertLessEqual(set(kinds), {"Expr", "Assign", "AnnAssign"}, str(path))
