"""Makes small changes to a module, one at a time, and tells which ones no test notices.

    .venv/bin/python tools/mutate.py src/tokenferry/protocol/cursor.py tests/protocol/test_cursor.py

A mutant is a copy of the sources in a directory of its own in which one expression or statement of
the module is another one. The tests run on it in a forked process, which has pytest and the
libraries loaded already, until the first of them fails. Printed are the survivors and a count; the
status is 0 whatever survives, and 1 if the tests fail on the unchanged module.

Source: DeMillo, Lipton and Sayward, "Hints on Test Data Selection" (1978), for the operators.
Weakness: only tests that import the module in the process that runs them see a mutant; those that
start a gateway of their own do not. A mutant that makes a loop endless counts as killed.
"""

import argparse
import ast
import contextlib
import io
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = ("src", "clients/python/src")
# A mutant that takes this many times as long as the unchanged module is in an endless loop.
PATIENCE_FACTOR = 5
PATIENCE_MIN_S = 10.0

COMPARISONS: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=",
    ast.LtE: "<",
    ast.Gt: ">=",
    ast.GtE: ">",
    ast.Eq: "!=",
    ast.NotEq: "==",
    ast.Is: "is not",
    ast.IsNot: "is",
    ast.In: "not in",
    ast.NotIn: "in",
}
ARITHMETIC: dict[type[ast.operator], str] = {
    ast.Add: "-",
    ast.Sub: "+",
    ast.Mult: "+",
    ast.FloorDiv: "*",
    ast.Div: "*",
    ast.Mod: "+",
    ast.BitOr: "&",
    ast.BitAnd: "|",
    ast.LShift: ">>",
    ast.RShift: "<<",
}


@dataclass(frozen=True)
class Mutant:
    """One change: bytes `start` to `end` of the module become `text`, on line `line`."""

    line: int
    start: int
    end: int
    text: str

    def applied(self, source: bytes) -> bytes:
        """Return the changed module."""
        return source[: self.start] + self.text.encode() + source[self.end :]


class Finder(ast.NodeVisitor):
    """Collects all mutants of one module."""

    def __init__(self, source: bytes) -> None:
        self.source = source
        self.found: list[Mutant] = []
        self._lines = [0]
        for line in source.split(b"\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)
        self.visit(ast.parse(source))

    def _span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        end_line, end_column = node.end_lineno, node.end_col_offset
        if end_line is None or end_column is None:
            raise ValueError("a node without an end")
        return (
            self._lines[node.lineno - 1] + node.col_offset,
            self._lines[end_line - 1] + end_column,
        )

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _add(self, node: ast.expr | ast.stmt, text: str) -> None:
        start, end = self._span(node)
        self.found.append(Mutant(node.lineno, start, end, text))

    def _between(self, left: ast.expr, right: ast.expr, text: str) -> None:
        start, end = self._span(left)[1], self._span(right)[0]
        gap = self.source[start:end].decode()
        # Brackets and line breaks around the operator stay.
        opening = "(" * gap.count("(")
        closing = ")" * gap.count(")")
        self.found.append(Mutant(left.lineno, start, end, f"{closing} {text} {opening}"))

    def visit_Compare(self, node: ast.Compare) -> None:
        """Turn each comparison."""
        operands = [node.left, *node.comparators]
        for index, operator in enumerate(node.ops):
            self._between(operands[index], operands[index + 1], COMPARISONS[type(operator)])
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        """Turn `and` into `or`, and the reverse."""
        word = "or" if isinstance(node.op, ast.And) else "and"
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._between(left, right, word)
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        """Take another operator."""
        if (operator := ARITHMETIC.get(type(node.op))) is not None:
            self._between(node.left, node.right, operator)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        """Drop a `not`."""
        if isinstance(node.op, ast.Not):
            self._add(node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        """Take another number or truth."""
        if isinstance(node.value, bool):
            self._add(node, str(not node.value))
        elif isinstance(node.value, int):
            self._add(node, str(node.value + 1))

    def _condition(self, node: ast.If | ast.While | ast.IfExp) -> None:
        self._add(node.test, "True")
        self._add(node.test, "False")
        self.generic_visit(node)

    visit_If = visit_While = visit_IfExp = _condition  # noqa: N815

    def visit_Expr(self, node: ast.Expr) -> None:
        """Drop a call; a docstring is none."""
        if not isinstance(node.value, ast.Constant):
            self._add(node, "None")
            self.generic_visit(node)

    def _dropped(self, node: ast.stmt) -> None:
        self._add(node, "pass")
        self.generic_visit(node)

    visit_AugAssign = visit_Raise = visit_Continue = visit_Break = visit_Delete = _dropped  # noqa: N815

    def visit_Assign(self, node: ast.Assign) -> None:
        """Drop an assignment to an attribute or an element; names would only be undefined."""
        if not all(isinstance(target, ast.Name) for target in node.targets):
            self._add(node, "pass")
        self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """Look at the value, not at the type."""
        if node.value is not None:
            self.visit(node.value)

    def visit_Return(self, node: ast.Return) -> None:
        """Return nothing."""
        if node.value is not None and not (
            isinstance(node.value, ast.Constant) and node.value.value is None
        ):
            self._add(node, "return None")
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """Look at the body: whether a class is frozen or has slots changes no answer."""
        for statement in node.body:
            self.visit(statement)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        """Look at defaults and the body, not at the types."""
        for default in (*node.args.defaults, *node.args.kw_defaults):
            if default is not None:
                self.visit(default)
        for statement in node.body:
            self.visit(statement)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815


def run_tests(sources: Path, tests: list[str], patience_s: float | None) -> bool:
    """Return whether the tests pass on these sources; False after `patience_s` as well."""
    child = os.fork()
    if child == 0:
        os.setsid()  # whatever the tests start ends with them
        status = 1
        with contextlib.suppress(BaseException):
            status = _in_child(sources, tests)
        os._exit(status)
    deadline_s = None if patience_s is None else time.monotonic() + patience_s
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        if deadline_s is not None and time.monotonic() > deadline_s:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return False
        time.sleep(0.01)


def _in_child(sources: Path, tests: list[str]) -> int:
    import pytest  # noqa: PLC0415 -- the parent has loaded it

    os.chdir(ROOT)
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    paths = [str(sources / name) for name in SOURCES] + [str(ROOT / "tests"), str(ROOT)]
    sys.path[:0] = paths
    # What the parent has loaded cannot be rewritten; a warning is an error here.
    options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:anyio"]
    options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
    options += ["-o", f"pythonpath={' '.join(paths)}"]
    with contextlib.redirect_stdout(io.StringIO()):
        return int(pytest.main([*options, *tests]))


def preload() -> None:
    """Load what all tests need and no mutant changes."""
    import hypothesis  # noqa: F401, PLC0415
    import msgspec  # noqa: F401, PLC0415
    import pytest  # noqa: F401, PLC0415
    import pytest_asyncio  # noqa: F401, PLC0415


def survivors(module: Path, tests: list[str], picked: slice) -> Iterator[Mutant | int]:
    """Yield how many mutants there are, then each that survives."""
    source = module.read_bytes()
    # `while True` with a constant condition is itself.
    mutants = [one for one in Finder(source).found if one.applied(source) != source][picked]
    with tempfile.TemporaryDirectory() as directory:
        sources = Path(directory)
        for name in SOURCES:
            shutil.copytree(
                ROOT / name, sources / name, ignore=shutil.ignore_patterns("web", "*.pyc")
            )
        copy = sources / module.relative_to(ROOT)
        started_s = time.monotonic()
        if not run_tests(sources, tests, None):
            raise SystemExit("the tests fail on the module as it is")
        patience_s = max(PATIENCE_MIN_S, PATIENCE_FACTOR * (time.monotonic() - started_s))
        yield len(mutants)
        for mutant in mutants:
            changed = mutant.applied(source)
            try:
                compile(changed, str(module), "exec")
            except SyntaxError:
                print(f"  not Python: line {mutant.line}, {mutant.text}", flush=True)
                continue
            copy.write_bytes(changed)
            # A compiled copy is recognised by time and size, which may be the same.
            for compiled in copy.parent.glob(f"__pycache__/{copy.stem}.*"):
                compiled.unlink()
            if run_tests(sources, tests, patience_s):
                yield mutant


def main() -> None:
    """Run."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("module", type=Path)
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--from", dest="first", type=int, default=0, help="skip that many mutants")
    parser.add_argument("--to", dest="last", type=int, default=None, help="stop after this one")
    arguments = parser.parse_args()
    preload()
    module = arguments.module.resolve()
    found = survivors(module, arguments.tests, slice(arguments.first, arguments.last))
    count, left = next(found), 0
    print(f"{module.relative_to(ROOT)}: {count} mutants", flush=True)
    lines = module.read_text("utf-8").splitlines()
    for mutant in found:
        left += 1
        if isinstance(mutant, Mutant):
            was = module.read_bytes()[mutant.start : mutant.end].decode()
            print(f"  line {mutant.line}: {lines[mutant.line - 1].strip()}", flush=True)
            print(f"    {' '.join(was.split())!r} -> {mutant.text!r}", flush=True)
    print(f"{count} mutants, {count - left} killed, {left} left")


if __name__ == "__main__":
    main()
