"""The command that runs the gateway, and what it prints when the gateway is ready."""

import argparse
import functools
import json
import os
import shlex
import shutil
import sys
from pathlib import Path

from tokenferry.config import ProviderSettings, ServerSettings, Settings, load
from tokenferry.config.settings import DEMO
from tokenferry.server import app, log

_OPTIONS = ("host", "port", "data_dir", "tls_cert", "tls_key")
# A provider may offer hundreds; the first few show what is meant.
_SHOWN_MODELS_MAX = 6
_GREETING = "안녕하세요!"
# An address to listen on that is none to connect to -> one that is.
_EVERYWHERE = {"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"}


def serve(arguments: argparse.Namespace) -> int:
    """Run the gateway until it is told to stop, and return the exit code.

    Raises:
        ConfigError: If the configuration has faults.
    """
    given = {name: getattr(arguments, name) for name in _OPTIONS}
    options = {name: text for name, text in given.items() if text is not None}
    settings = load(arguments.config, os.environ, options)
    server = settings.server
    log.configure(server.log_level, server.log_format, settings.secrets())
    return app.run(settings, functools.partial(print_banner, settings))


def print_banner(settings: Settings, url: str, first_key: str | None) -> None:
    """Print where the gateway listens and what to do next.

    Args:
        settings: What it runs with.
        url: Its address, without a path.
        first_key: The key that was just created, when there was none.
    """
    listening = f"  Tokenferry listens on {url}"
    for everywhere, here in _EVERYWHERE.items():
        url = url.replace(everywhere, here)
    lines = [
        "",
        listening,
        f"  Try it in the browser: {url}/",
        "",
    ]
    if first_key is not None:
        lines += [
            f"  Your first API key: {first_key}",
            f"  It is shown only once. More of them: {_create_command(settings)}",
            "",
        ]
    lines += [f"  {_offer(provider)}" for provider in settings.providers]
    lines += [f"  {alias.name}: {' or '.join(alias.candidates)}" for alias in settings.models]
    lines += ["", *_next_steps(settings, url, first_key), ""]
    sys.stdout.write("\n".join(lines))
    # Whoever started it through a pipe waits for the key.
    sys.stdout.flush()


def _create_command(settings: Settings) -> str:
    data_dir = settings.server.data_dir
    if data_dir == ServerSettings().data_dir:
        return f"{_program()} keys create NAME"
    return f"{_program()} keys create NAME --data-dir {shlex.quote(str(data_dir))}"


def _program() -> str:
    """Return what to type for this program: its path, where a shell would not find the name."""
    script = Path(sys.executable).with_name("tokenferry")
    if shutil.which(script.name) or not script.is_file():
        return script.name
    here = Path.cwd()
    return shlex.quote(str(script.relative_to(here) if script.is_relative_to(here) else script))


def _offer(provider: ProviderSettings) -> str:
    models = list(provider.models[:_SHOWN_MODELS_MAX])
    if len(provider.models) > len(models):
        models.append(f"and {len(provider.models) - len(models)} more")
    if provider.kind == DEMO:
        return f"{DEMO}: a built-in simulator; it answers offline and is no language model"
    return f"{provider.name}: {', '.join(models)}"


def _next_steps(settings: Settings, url: str, first_key: str | None) -> list[str]:
    if not settings.providers:
        return ["  No model is served. Set OPENAI_API_KEY, say, or add [[providers]] to the file."]
    model = DEMO if settings.server.demo else settings.providers[0].models[0]
    # Whoever tries TLS at home has signed the certificate alone.
    insecure = "-k " if settings.server.tls_cert else ""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": _GREETING}]}
    steps = [
        "  What to type next:",
        f"    curl -N {insecure}{url}/v1/chat/completions \\",
        f'      -H "Authorization: Bearer {first_key or "YOUR_KEY"}" \\',
        '      -H "Content-Type: application/json" \\',
        f"      -d '{json.dumps(body, ensure_ascii=False)}'",
    ]
    if all(provider.kind == DEMO for provider in settings.providers):
        steps += [
            "",
            "  To reach a real model, stop the server, set OPENAI_API_KEY, ANTHROPIC_API_KEY,",
            "  GEMINI_API_KEY or DEEPSEEK_API_KEY, and start it again; or add [[providers]] to",
            f"  tokenferry.toml (`{_program()} config reference` explains it).",
        ]
    return steps
