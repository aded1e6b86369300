"""What has been said, and what it cost."""

from tokenferry.cli.chat_conversation import Conversation


def test_what_is_asked_and_kept() -> None:
    conversation = Conversation("m", system="짧게")
    assert conversation.asking("가?") == [
        {"role": "system", "content": "짧게"},
        {"role": "user", "content": "가?"},
    ]
    conversation.take("가?", "나.")
    conversation.system = ""
    assert [turn["content"] for turn in conversation.asking("다?")] == ["가?", "나.", "다?"]
    assert conversation.as_markdown() == "# m\n\n## user\n\n가?\n\n## assistant\n\n나.\n"
    conversation.restart()
    assert conversation.asking("라?") == [{"role": "user", "content": "라?"}]


def test_sums_are_exact() -> None:
    conversation = Conversation("m")
    for cost in ("0.1", "0.2", "0.000000001", None, "what"):
        conversation.count({"prompt_tokens": 3, "completion_tokens": 4}, cost)
    conversation.count(None, None)
    conversation.count({"prompt_tokens": None}, "0")
    assert conversation.cost == "0.300000001"
    assert (conversation.answers, conversation.unpriced) == (7, 3)
    assert (conversation.prompt_tokens, conversation.completion_tokens) == (15, 20)
