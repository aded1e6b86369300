"""What begins with a slash."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tokenferry.cli.chat_commands import NAMES, Commands, Reply
from tokenferry.cli.chat_conversation import Conversation
from tokenferry.cli.chat_words import WORDS

WORDS_EN = WORDS["en"]


class TestCommands:
    def setup_method(self) -> None:
        self.conversation = Conversation("demo")
        self.asked = 0
        self.commands = Commands(self.conversation, WORDS_EN, self.models)

    def models(self) -> Sequence[str]:
        self.asked += 1
        return ["demo", "openai/gpt-6", "ollama/qwen3:8b"]

    def say(self, line: str) -> str:
        return self.commands.run(line).text

    def test_the_model(self) -> None:
        assert self.say("/model") == "The model is demo."
        assert self.say("/model  ollama/qwen3:8b ") == "The model is ollama/qwen3:8b."
        assert self.conversation.model == "ollama/qwen3:8b"
        assert "qwen3" in self.say("/models")

    def test_the_system_message(self) -> None:
        assert self.say("/system") == "There is no system message."
        assert self.say("/system 짧게 \x1b[2J") == "The system message is: 짧게 ␛[2J"
        assert self.conversation.system == "짧게 \x1b[2J"
        assert self.say("/system -") == "There is no system message."

    def test_new_forgets_and_cost_does_not(self) -> None:
        self.conversation.take("가?", "나.")
        self.conversation.count({"prompt_tokens": 1, "completion_tokens": 2}, "0.5")
        self.conversation.count({"prompt_tokens": 1, "completion_tokens": 2}, None)
        assert self.say("/new") == "A new conversation."
        assert self.conversation.turns == []
        said = "2 answers, 2 + 4 tokens, 0.50 USD; 1 of them without a known price"
        assert self.say("/cost") == said

    def test_saving(self, tmp_path: Path) -> None:
        self.conversation.take("가?", "나.\x1b[2J")
        path = tmp_path / "기록 1.md"
        assert self.say(f"/save {path}") == f"Saved to {path}."
        assert path.read_text("utf-8").endswith("나.␛[2J\n")
        assert self.say("/save") == "Name a file: /save FILE"
        assert "cannot be written" in self.say(f"/save {tmp_path}")

    @pytest.mark.parametrize("line", ["/nonsense x", "/", "/MODEL"])
    def test_what_there_is_not(self, line: str) -> None:
        assert "no command" in self.say(line)

    def test_help_names_all_and_quit_leaves(self) -> None:
        assert all(name in self.say("/help") for name in NAMES if name != "/help")
        assert self.commands.run("/quit") == Reply(leave=True)

    @pytest.mark.parametrize(
        ("line", "found"),
        [
            ("", []),
            ("hello", []),
            ("/m", ["/model", "/models"]),
            ("/model o", ["/model openai/gpt-6", "/model ollama/qwen3:8b"]),
            ("/model ollama/q", ["/model ollama/qwen3:8b"]),
            ("/model x", []),
        ],
    )
    def test_completion(self, line: str, found: list[str]) -> None:
        assert self.commands.complete(line) == found

    def test_completion_asks_the_gateway_once(self) -> None:
        self.commands.complete("/model o")
        self.commands.complete("/model ol")
        assert self.asked == 1
