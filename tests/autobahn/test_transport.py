"""The echo server that Autobahn tests must stay like the gateway, or its verdict says nothing."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
# What differs on purpose: what is offered, and how long a message may be.
OWN = {"protocols", "max_msg_size"}


def socket_options(path: Path) -> dict[str, str]:
    """Return the keyword arguments of the one socket that a module makes."""
    (call,) = (
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "GatewaySocket"
    )
    assert not call.args
    return {str(keyword.arg): ast.unparse(keyword.value) for keyword in call.keywords}


def test_the_echo_server_has_the_gateways_options() -> None:
    gateway = ROOT / "src" / "tokenferry" / "server" / "upgrade.py"
    echo = Path(__file__).with_name("echo_server.py")
    theirs, ours = socket_options(gateway), socket_options(echo)
    assert theirs.keys() == ours.keys()
    assert {name: theirs[name] for name in theirs.keys() - OWN} == {
        name: ours[name] for name in ours.keys() - OWN
    }
