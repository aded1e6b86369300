"""LiteLLM, measured beside Tokenferry when asked; `make bench-peers` installs it.

Source: LiteLLM's documentation, "Proxy config", November 2026. Weakness: its configuration is the
plainest one; it has settings that trade features for speed.
"""

import subprocess
from pathlib import Path

from bench.processes import Process, cores, free_port
from bench.targets import MODELS, ROOT, Missing, Target, clean_environment, ready

START_WAIT_S = 120.0

MODEL = """
  - model_name: {model}
    litellm_params:
      model: openai/{model}
      api_base: http://127.0.0.1:{provider_port}/v1
      api_key: sk-mock
"""


class LiteLLM:
    """LiteLLM's proxy from its own virtual environment, one worker, no database."""

    name = "LiteLLM"
    key = "sk-bench"
    command = ROOT / ".venv-peers" / "bin" / "litellm"

    def __init__(self, work: Path, provider: Target):
        if not self.command.exists():
            raise Missing("LiteLLM is missing; `make bench-peers` installs it into .venv-peers")
        self.work = work
        self.provider = provider
        self.config = work / "litellm.yaml"
        entries = "".join(
            MODEL.format(model=model, provider_port=provider.port) for model in MODELS
        )
        self.config.write_text(
            f"model_list:{entries}\ngeneral_settings:\n  master_key: {self.key}\n"
        )
        # Its table of prices comes from the package, not from the network.
        self.env = clean_environment() | {"LITELLM_LOCAL_MODEL_COST_MAP": "True"}

    def start(self) -> Target:
        port = free_port()
        argv = [str(self.command), "--config", str(self.config), "--host", "127.0.0.1"]
        argv += ["--port", str(port), "--num_workers", "1"]
        process = Process(argv, self.work / "litellm.log", cores()[0], self.env)
        target = Target(self.name, port, process, self.key, provider_pids=self.provider.pids)
        return ready(target, "/health/liveliness", START_WAIT_S)

    def version(self) -> str:
        argv = [str(self.command.parent / "python"), "-c"]
        argv += ["from importlib.metadata import version; print(version('litellm'))"]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
