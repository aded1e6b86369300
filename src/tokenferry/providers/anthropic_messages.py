"""The conversation: OpenAI's messages as Anthropic's system blocks, turns and content blocks.

What differs: instructions stand outside the conversation, so that every system and developer
message, wherever it stood, goes to the top in order; two messages of one role in a row are one
turn; the results of tools are the user's, and stand first in the turn; text without a visible
character is refused there and left out here; ids of calls have a narrower alphabet.

Source: platform.claude.com, "Messages API", "Handle tool calls", "Vision", "PDF support", "Prompt
caching" and "Thinking", November 2026. Weakness: the dialect cannot say where thinking stood
between the other blocks of one message: it goes first. An instruction that is added in the middle
of a conversation changes the top of the prompt, which costs the cache and, from Claude 5.5 on, the
thinking that was signed under the old one. A message's `name` is dropped.
"""

import base64
import re
from typing import Any, Final, Literal, NamedTuple

import msgspec
from msgspec import Raw, Struct

from tokenferry.errors import InvalidRequest, MissingParameter, UnsupportedParameter
from tokenferry.protocol.chat import InputFile, Message, Part, ToolCall

CacheControl = dict[str, Any]
Role = Literal["user", "assistant"]


class Text(Struct, tag="text", omit_defaults=True):
    """Text; in `system` as well."""

    text: str
    cache_control: CacheControl | None = None


class Base64Source(Struct, tag="base64"):
    """An image or a PDF inside the request."""

    media_type: str
    data: str


class TextSource(Struct, tag="text"):
    """A text document inside the request."""

    media_type: str
    data: str


class UrlSource(Struct, tag="url"):
    """An image that the provider fetches."""

    url: str


class Image(Struct, tag="image", omit_defaults=True):
    """An image."""

    source: Base64Source | UrlSource
    cache_control: CacheControl | None = None


class Document(Struct, tag="document", omit_defaults=True):
    """A PDF or a text file."""

    source: Base64Source | TextSource
    title: str | None = None
    cache_control: CacheControl | None = None


class ToolUse(Struct, tag="tool_use", omit_defaults=True):
    """A call that the assistant made."""

    id: str
    name: str
    input: Raw
    cache_control: CacheControl | None = None


class ToolResult(Struct, tag="tool_result", omit_defaults=True):
    """What a call gave; without content for an empty result."""

    tool_use_id: str
    content: "list[Text | Image | Document] | None" = None
    cache_control: CacheControl | None = None


class Thinking(Struct, tag="thinking"):
    """The assistant's thinking, signed by the provider."""

    thinking: str
    signature: str


class RedactedThinking(Struct, tag="redacted_thinking"):
    """Thinking that only the provider can read."""

    data: str


Given = Text | Image | Document
Block = Given | ToolUse | ToolResult | Thinking | RedactedThinking


class Turn(Struct):
    """All that one side says before the other one does."""

    role: Role
    content: list[Block]


class Conversation(NamedTuple):
    """A translated conversation."""

    system: list[Text]
    turns: list[Turn]

    @property
    def ends_in_unsigned_tool_turn(self) -> bool:
        """Whether the last assistant turn calls tools and does not begin with thinking."""
        for turn in reversed(self.turns):
            if turn.role == "assistant":
                calls = any(isinstance(block, ToolUse) for block in turn.content)
                return calls and not isinstance(turn.content[0], Thinking | RedactedThinking)
        return False


_IMAGE_TYPES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_TEXT_ONLY: Final = ("text",)
_ASSISTANT_PARTS: Final = ("text", "refusal")
_USER_PARTS: Final = ("text", "image_url", "file", "input_audio")
_KNOWN_PARTS: Final = frozenset((*_USER_PARTS, *_ASSISTANT_PARTS))
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")


def read_conversation(messages: list[Message]) -> Conversation:
    """Translate the messages of a request.

    Raises:
        InvalidRequest: If a part cannot be what it says, or nothing is left to answer.
        MissingParameter: If a message or part lacks what it is for.
        UnsupportedParameter: If Anthropic has no counterpart.
    """
    system: list[Text] = []
    turns: list[Turn] = []
    last: tuple[Role, bool, str] = ("user", True, "")
    for position, message in enumerate(messages):
        path = f"messages[{position}]"
        if message.role in ("system", "developer"):
            system.extend(_read_system(message, path))
            continue
        blocks = _READERS[message.role](message, path)
        role: Role = "assistant" if message.role == "assistant" else "user"
        last = (role, bool(blocks), path)
        if turns and turns[-1].role == role:
            turns[-1].content.extend(blocks)
        elif blocks:
            turns.append(Turn(role, blocks))
    if not turns:
        raise InvalidRequest(
            "`messages` holds nothing to answer; add a `user` message with some text.",
            param="messages",
        )
    role, has_content, path = last
    if role == "user" and not has_content:
        # Left out, it would turn the assistant's last words into the beginning of the answer.
        raise InvalidRequest(
            "The last message is empty, and Anthropic takes no empty message; write some text.",
            param=f"{path}.content",
        )
    _settle(turns)
    return Conversation(system, turns)


def _settle(turns: list[Turn]) -> None:
    """Bring the turns into the order and form that Anthropic insists on."""
    for turn in turns:
        if turn.role == "user":
            turn.content.sort(key=lambda block: not isinstance(block, ToolResult))
    last = turns[-1].content[-1]
    if turns[-1].role == "assistant" and isinstance(last, Text):
        # The beginning of the answer, to be continued; it must not end in white space.
        last.text = last.text.rstrip()


def _read_system(message: Message, path: str) -> list[Text]:
    blocks = _read_content(message, path, _TEXT_ONLY)
    _mark(blocks, message.cache_control)
    return [block for block in blocks if isinstance(block, Text)]


def _read_user(message: Message, path: str) -> list[Block]:
    blocks: list[Block] = [*_read_content(message, path, _USER_PARTS)]
    _mark(blocks, message.cache_control)
    return blocks


def _read_assistant(message: Message, path: str) -> list[Block]:
    blocks: list[Block] = [*_read_content(message, path, _ASSISTANT_PARTS)]
    if message.refusal and message.refusal.strip():
        blocks.append(Text(message.refusal))
    for position, call in enumerate(message.tool_calls or ()):
        blocks.append(_read_call(call, f"{path}.tool_calls[{position}]"))
    _mark(blocks, message.cache_control)
    return [*_read_thinking(message), *blocks] if blocks else []


def _read_result(message: Message, path: str) -> list[Block]:
    if not message.tool_call_id:
        raise MissingParameter(
            f"`{path}.tool_call_id` is required in a `tool` message; name the call it answers.",
            param=f"{path}.tool_call_id",
        )
    content = _read_content(message, path, _USER_PARTS)
    mark = message.cache_control
    for block in content:
        # A mark inside the result means the result: that is the block it can stand on.
        mark = block.cache_control or mark
        block.cache_control = None
    return [ToolResult(_call_id(message.tool_call_id), content or None, mark)]


def _refuse_function(message: Message, path: str) -> list[Block]:
    raise UnsupportedParameter(
        f"The `{message.role}` role is OpenAI's older form of tools; "
        "use `tool_calls` and the `tool` role.",
        param=f"{path}.role",
    )


_READERS = {
    "user": _read_user,
    "assistant": _read_assistant,
    "tool": _read_result,
    "function": _refuse_function,
}


def _read_content(message: Message, path: str, allowed: tuple[str, ...]) -> list[Given]:
    """Return the blocks of a message's content, without text that has no visible character."""
    if isinstance(message.content, str):
        return [Text(message.content)] if message.content.strip() else []
    blocks: list[Given] = []
    for position, part in enumerate(message.content or ()):
        part_path = f"{path}.content[{position}]"
        if part.type not in allowed:
            raise _refused_part(part, message.role, part_path)
        block = _read_part(part, part_path)
        if not isinstance(block, Text) or block.text.strip():
            block.cache_control = part.cache_control
            blocks.append(block)
    return blocks


def _read_part(part: Part, path: str) -> Given:
    if part.type == "text" and part.text is not None:
        return Text(part.text)
    if part.type == "refusal" and part.refusal is not None:
        return Text(part.refusal)
    if part.type == "image_url" and (url := part.image_address) is not None:
        return Image(_read_image(url, f"{path}.image_url.url"))
    if part.type == "file" and part.file is not None:
        return _read_file(part.file, f"{path}.file")
    if part.type == "input_audio":
        raise UnsupportedParameter(
            "Anthropic's models take no audio; send text, images or documents.",
            param=f"{path}.input_audio",
        )
    raise MissingParameter(
        f"`{path}.{part.type}` is required in a part of type `{part.type}`.",
        param=f"{path}.{part.type}",
    )


def _refused_part(part: Part, role: str, path: str) -> InvalidRequest:
    if part.type in _KNOWN_PARTS:
        message = f"A `{role}` message cannot hold a part of type `{part.type}`."
    else:
        message = (
            f"`{part.type}` is no part type that Anthropic's models take; "
            "use text, image_url or file."
        )
    return InvalidRequest(message, param=f"{path}.type")


def _read_image(url: str, param: str) -> Base64Source | UrlSource:
    if url[:8].lower() == "https://":
        return UrlSource(url)
    if url[:5].lower() != "data:":
        raise InvalidRequest(
            "Anthropic fetches images over https only; send an https URL or a base64 data URL.",
            param=param,
        )
    source = _read_data_url(url, param)
    if source.media_type == "image/jpg":
        source.media_type = "image/jpeg"  # no registered type, but a common one
    if source.media_type not in _IMAGE_TYPES:
        raise InvalidRequest(
            f"Anthropic takes no image of type `{source.media_type}`; "
            f"send one of {', '.join(_IMAGE_TYPES)}.",
            param=param,
        )
    return source


def _read_file(file: InputFile, path: str) -> Document:
    if file.file_data is None:
        if file.file_id is not None:
            raise UnsupportedParameter(
                "Anthropic cannot read files that were uploaded elsewhere; "
                "send the file itself in `file_data`.",
                param=f"{path}.file_id",
            )
        raise MissingParameter(
            f"`{path}.file_data` is required; send the file as a base64 data URL.",
            param=f"{path}.file_data",
        )
    param = f"{path}.file_data"
    source = _read_data_url(file.file_data, param)
    if source.media_type == "application/pdf":
        return Document(source, file.filename)
    if source.media_type != "text/plain":
        raise InvalidRequest(
            f"Anthropic takes no file of type `{source.media_type}`; send application/pdf or "
            "text/plain, and images as `image_url`.",
            param=param,
        )
    try:
        text = base64.b64decode(source.data, validate=True).decode()
    except ValueError:
        raise InvalidRequest("The file is no base64 of UTF-8 text.", param=param) from None
    return Document(TextSource("text/plain", text), file.filename)


def _read_data_url(url: str, param: str) -> Base64Source:
    """Read `data:MEDIA;base64,DATA`; whether the data is base64 is left to the provider."""
    head, _, data = url.partition(",")
    head = head.lower()
    if not head.startswith("data:") or not head.endswith(";base64") or not data:
        raise InvalidRequest(
            "This must be a URL of the form `data:MEDIA_TYPE;base64,DATA`.", param=param
        )
    return Base64Source(head[5:].partition(";")[0].strip(), data)


def _read_call(call: ToolCall, path: str) -> ToolUse:
    if call.type != "function" or call.function is None:
        raise UnsupportedParameter(
            f"Anthropic knows no `{call.type}` tools; use `function`.", param=f"{path}.type"
        )
    arguments = call.function.arguments.strip() or "{}"
    try:
        msgspec.json.decode(arguments, type=dict[str, Raw])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise InvalidRequest(
            f"`{path}.function.arguments` must be a JSON object as text.",
            param=f"{path}.function.arguments",
        ) from None
    return ToolUse(_call_id(call.id), call.function.name, Raw(arguments.encode()))


def _call_id(call_id: str) -> str:
    """Return the id in Anthropic's alphabet; other providers' ids have dots and colons."""
    return _NOT_IN_ID.sub("_", call_id)


def _read_thinking(message: Message) -> list[Thinking | RedactedThinking]:
    """Return the thinking that Anthropic signed, in its order; what others made is left out."""
    blocks: list[Thinking | RedactedThinking] = []
    for detail in message.reasoning_details or ():
        if not str(detail.get("format") or "anthropic").startswith("anthropic"):
            continue
        text, signature, data = (detail.get(key) for key in ("text", "signature", "data"))
        if detail.get("type") == "reasoning.text" and isinstance(signature, str) and signature:
            blocks.append(Thinking(text if isinstance(text, str) else "", signature))
        elif detail.get("type") == "reasoning.encrypted" and isinstance(data, str):
            blocks.append(RedactedThinking(data))
    return blocks


def _mark(blocks: list[Block] | list[Given], mark: CacheControl | None) -> None:
    """Put a whole message's cache mark on its last block that has none of its own."""
    if mark is None or not blocks:
        return
    last = blocks[-1]
    if not isinstance(last, Thinking | RedactedThinking) and last.cache_control is None:
        last.cache_control = mark
