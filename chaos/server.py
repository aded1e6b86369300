"""A real gateway that kills itself at a named point: `python -m chaos.server serve …`.

    CHAOS_FAIL=journal.append.after:37   die after the 37th commit
    CHAOS_FAIL=journal.write.torn:5:0.4  die in the 5th write, of which 40 % reach the file
    python -m chaos.server --points      what there is, one name a line, with its usual hits

The points are put around the production code from outside, before it starts; it has no hooks of its
own. Where a point's code does not exist, the point is not listed.

Weakness: classes are found by their methods' names and module, so that a renamed method loses its
points; `--points` shows it, and the driver's table counts the hits of each.
"""

import contextlib
import functools
import importlib
import inspect
import os
import pkgutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

ENVIRONMENT = "CHAOS_FAIL"
SEGMENTS = ".seg"
JOURNAL_METHODS = ("append", "read", "close", "drop")
# Functions that a start or a stop calls, by what is in their names.
RECOVERY_WORD = "recover"


@dataclass(frozen=True)
class Point:
    """Where a process can be made to die.

    Attributes:
        name: `before` and `after` are put behind it.
        targets: Owners, and what of theirs is wrapped.
        hits_max: As many hits as one life usually has.
    """

    name: str
    targets: tuple[tuple[Any, str], ...]
    hits_max: int = 1


@dataclass
class Fuse:
    """Counts the hits of the one point that was asked for."""

    name: str
    left: int = 1
    share: float = 0.5
    ready: bool = False

    def hit(self, name: str) -> None:
        """Die, if this was the hit to die at."""
        if name == self.name:
            self.left -= 1
            if not self.left:
                die()

    def is_last(self, name: str) -> bool:
        """Say whether the next hit of this point is the one to die at."""
        return name == self.name and self.left == 1


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def parse(text: str) -> Fuse:
    """Return the fuse of NAME:HIT[:SHARE]; one that never burns for nothing."""
    name, _, rest = text.partition(":")
    hit, _, share = rest.partition(":")
    return Fuse(name, int(hit or 1), float(share or 0.5))


# -- where the points are ----------------------------------------------------------------------


def modules(package: str) -> Iterator[ModuleType]:
    root = importlib.import_module(package)
    yield root
    for found in pkgutil.walk_packages(root.__path__, f"{package}."):
        if not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def classes(package: str) -> Iterator[type]:
    for module in modules(package):
        for value in vars(module).values():
            if inspect.isclass(value) and value.__module__ == module.__name__:
                yield value


def methods(found: list[type], *names: str) -> tuple[tuple[Any, str], ...]:
    return tuple((owner, name) for owner in found for name in names if name in vars(owner))


def recoveries() -> tuple[tuple[Any, str], ...]:
    """Return every function and method whose name says that it recovers."""
    found: list[tuple[Any, str]] = []
    for module in modules("tokenferry"):
        owners = [module, *(v for v in vars(module).values() if inspect.isclass(v))]
        for owner in owners:
            if owner is not module and owner.__module__ != module.__name__:
                continue
            found += [
                (owner, name)
                for name, value in vars(owner).items()
                if RECOVERY_WORD in name
                and inspect.isfunction(value)
                and value.__module__ == module.__name__
            ]
    return tuple(found)


def points() -> list[Point]:
    """Return the points around calls that exist in this version of the gateway."""
    stores = list(classes("tokenferry.stores"))
    journals = [each for each in stores if all(name in vars(each) for name in JOURNAL_METHODS)]
    engine = list(classes("tokenferry.engine"))
    named = {each.__name__: each for each in engine}
    app = importlib.import_module("tokenferry.server.app")
    serve = importlib.import_module("tokenferry.cli.serve")
    metrics = importlib.import_module("tokenferry.server.metrics")
    found = [
        Point("journal.append", methods(journals, "append"), 150),
        Point("journal.open", methods(journals, "open"), 12),
        Point("journal.close", methods(journals, "close"), 8),
        Point("journal.sync", methods(journals, "sync"), 20),
        Point("provider.call", methods([named["Generation"]], "start"), 12),
        # Called by the relay when the journal has committed and before anybody is sent anything.
        Point("relay.send", methods([named["Stream"]], "commit"), 300),
        Point("settlement", methods([metrics.Metrics], "settled"), 8),
        Point("ledger.commit", methods(stores, "commit"), 12),
        Point("ledger.void", methods(stores, "void_others"), 1),
        Point("ledger.charge", methods([named["Settlement"]], "charge"), 8),
        Point("drain", ((app, "drain"),), 1),
        Point("drain.abort", methods([named["Dispatcher"]], "abort_all"), 1),
        Point("archive.save", methods(stores, "save"), 4),
        Point("recovery", recoveries(), 3),
        Point("start.ready", ((serve, "print_banner"),), 1),
    ]
    return [point for point in found if point.targets]


# Around system calls on segment files; `start.` until the gateway answers.
FILE_POINTS = {"journal.write.torn": 150, "journal.write.after": 150}
START_POINTS = {"start.write.torn": 3, "start.write.after": 3, "start.truncate.before": 1}


def names() -> dict[str, int]:
    """Return all points that exist, with the hits that one life usually has."""
    found = {}
    for point in points():
        for moment in ("before", "after"):
            found[f"{point.name}.{moment}"] = point.hits_max
    if any(name.startswith("journal.open") for name in found):  # a journal of files
        found |= FILE_POINTS | START_POINTS
    return found


# -- putting them in ---------------------------------------------------------------------------


def wrap(owner: Any, attribute: str, name: str, fuse: Fuse) -> None:
    """Put the points NAME.before and NAME.after around a function or method."""
    original = inspect.getattr_static(owner, attribute)
    binder = type(original) if isinstance(original, classmethod | staticmethod) else None
    function: Callable[..., Any] = original.__func__ if binder else original
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def later(*arguments: Any, **named: Any) -> Any:
            fuse.hit(f"{name}.before")
            result = await function(*arguments, **named)
            fuse.hit(f"{name}.after")
            return result

        wrapped: Any = later
    else:

        @functools.wraps(function)
        def now(*arguments: Any, **named: Any) -> Any:
            fuse.hit(f"{name}.before")
            result = function(*arguments, **named)
            fuse.hit(f"{name}.after")
            return result

        wrapped = now
    setattr(owner, attribute, binder(wrapped) if binder else wrapped)


def is_segment(fd: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/self/fd/{fd}").readlink().name.endswith(SEGMENTS)
    return False


def wrap_writes(fuse: Fuse) -> None:
    """Put the points around `os.write` and `os.ftruncate`; before anybody imports them by name."""
    write, ftruncate = os.write, os.ftruncate

    def torn_write(fd: int, data: Any) -> int:
        stage = "journal" if fuse.ready else "start"
        if not fuse.name.startswith(stage) or not is_segment(fd):
            return write(fd, data)
        if fuse.is_last(f"{stage}.write.torn"):
            write(fd, bytes(data)[: int(len(data) * fuse.share)])
        fuse.hit(f"{stage}.write.torn")
        written = write(fd, data)
        fuse.hit(f"{stage}.write.after")
        return written

    def cut(fd: int, length: int) -> None:
        if not fuse.ready and is_segment(fd):
            fuse.hit("start.truncate.before")
        ftruncate(fd, length)

    os.write, os.ftruncate = torn_write, cut


def arm(fuse: Fuse) -> None:
    wrap_writes(fuse)
    serve = importlib.import_module("tokenferry.cli.serve")
    banner = serve.print_banner

    def ready(*arguments: Any) -> None:
        banner(*arguments)
        fuse.ready = True

    serve.print_banner = ready
    for point in points():
        if fuse.name.startswith(f"{point.name}.") or fuse.name == point.name:
            for owner, attribute in point.targets:
                wrap(owner, attribute, point.name, fuse)


def main(argv: list[str]) -> int:
    if argv == ["--points"]:
        for name, hits_max in sorted(names().items()):
            print(name, hits_max)
        return 0
    wanted = os.environ.get(ENVIRONMENT)
    if wanted:
        arm(parse(wanted))
    from tokenferry.cli.main import main as tokenferry

    return tokenferry(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
