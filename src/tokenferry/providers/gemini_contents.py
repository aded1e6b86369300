"""Messages of a chat completion as Gemini contents: roles, media, tool calls and their results.

Source: Google's SDK python-genai of August 2026 (Content, Part); Gemini API guides "Function
calling" (July 2026), "Thought signatures" and "File input methods" (October 2026).
Weakness: the media type of an image URL is guessed from its extension, because nobody has fetched
it yet.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

import msgspec
from msgspec import Raw, Struct

from tokenferry.errors import InvalidRequest, MissingParameter, UnsupportedParameter
from tokenferry.protocol.chat import Message, Part, ToolCall
from tokenferry.providers.gemini_names import google_name

# Google's own value for calls whose signature is lost, for instance because another provider made
# them ("Thought signatures", FAQ). Gemini 3 answers 400 when the first call of a step has none.
SIGNATURE_UNKNOWN = "skip_thought_signature_validator"
_SIGNATURE_SINCE = (3, 0)
# "Gemini 2.0 family of models are not supported" ("File input methods", External HTTP URLs).
_IMAGE_URL_SINCE = (2, 5)

# What the page on external URLs lists, and what Gemini reads as inline data.
_IMAGE_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "webp": "image/webp",
        "bmp": "image/bmp",
        "gif": "image/gif",
        "heic": "image/heic",
        "heif": "image/heif",
    }
)
_AUDIO_FORMATS = frozenset({"wav", "mp3", "aiff", "aac", "ogg", "flac"})
_DATA_URL_REMEDY = "send a base64 data URL, `data:<media type>;base64,<data>`"

# "gemini-3.1-pro-preview", "gemini-robotics-er-1.6-preview"; aliases such as
# "gemini-flash-latest" have no number and mean the newest.
_VERSION = re.compile(r"gemini-(?:[a-z-]*-)?(\d{1,4})(?:\.(\d{1,4}))?")
_NEWEST = (9999, 0)
_NOT_GEMINI = (0, 0)


def model_version(model: str) -> tuple[int, int]:
    """Return a model's version for comparison: the newest for aliases, (0, 0) for other families.

    Args:
        model: The model's name, without `models/`.
    """
    if not model.startswith("gemini-"):
        return _NOT_GEMINI
    if match := _VERSION.match(model):
        return int(match[1]), int(match[2] or 0)
    return _NEWEST


class Blob(Struct, rename="camel"):
    """Media inside the request, base64."""

    mime_type: str
    data: str


class FileData(Struct, rename="camel"):
    """Media that Google fetches."""

    mime_type: str
    file_uri: str


class FunctionCall(Struct, omit_defaults=True):
    """A call that the model made earlier."""

    name: str
    args: Raw
    id: str | None = None


class FunctionResponse(Struct, omit_defaults=True):
    """The result of a call; `response` is a JSON object."""

    name: str
    response: Raw
    id: str | None = None


class ContentPart(Struct, rename="camel", omit_defaults=True):
    """One part of a content; exactly one field is set, besides the signature."""

    text: str | None = None
    inline_data: Blob | None = None
    file_data: FileData | None = None
    function_call: FunctionCall | None = None
    function_response: FunctionResponse | None = None
    thought_signature: str | None = None


class Content(Struct):
    """A turn: role `user` or `model`."""

    role: str
    parts: list[ContentPart]


class Conversation:
    """Collects messages, in their order, into what Gemini wants.

    Consecutive contents of one role become one, except that tool results stay apart from what the
    user says next: Gemini wants the turn after a call turn to answer exactly that turn's calls.

    Args:
        version: The model's version, which decides about signatures and image URLs.

    Attributes:
        system: The system and developer texts.
        contents: The turns.
    """

    def __init__(self, version: tuple[int, int]) -> None:
        self.system: list[ContentPart] = []
        self.contents: list[Content] = []
        self._version = version
        self._names: dict[str, str] = {}
        self._last_are_results = False

    def add(self, index: int, message: Message) -> None:
        """Take the next message; `index` is its place in `messages`.

        Raises:
            RequestError: If Gemini has no way to say it.
        """
        at = f"messages[{index}]"
        match message.role:
            case "system" | "developer":
                self.system.extend(_text_parts(message, at))
            case "user":
                self._append("user", self._content(message, at))
            case "assistant":
                self._append("model", self._answer(message, at))
            case "tool":
                self._append("user", [self._result(message, at)], results=True)
            case _:
                raise UnsupportedParameter(
                    f"`{at}.role` is `function`, which Gemini does not have; "
                    "send the result as a `tool` message with its `tool_call_id`.",
                    param=f"{at}.role",
                )

    def _append(self, role: str, parts: list[ContentPart], *, results: bool = False) -> None:
        if not parts:
            return
        last = self.contents[-1] if self.contents else None
        if last is not None and last.role == role and self._last_are_results == results:
            last.parts.extend(parts)
        else:
            self.contents.append(Content(role, parts))
        self._last_are_results = results

    def _content(self, message: Message, at: str) -> list[ContentPart]:
        if not isinstance(message.content, list):
            return [ContentPart(text=message.content)] if message.content else []
        parts = (
            self._part(part, f"{at}.content[{number}]")
            for number, part in enumerate(message.content)
        )
        return [part for part in parts if part is not None]

    def _part(self, part: Part, at: str) -> ContentPart | None:
        match part.type:
            case "text":
                return ContentPart(text=part.text) if part.text else None
            case "refusal":
                return ContentPart(text=part.refusal) if part.refusal else None
            case "image_url":
                return self._image(part, at)
            case "input_audio":
                return _audio(part, at)
            case "file":
                return _file(part, at)
        raise InvalidRequest(
            f"`{at}.type` is {part.type[:40]!r}, which cannot be sent to Gemini; "
            "use text, image_url, input_audio or file.",
            param=f"{at}.type",
        )

    def _image(self, part: Part, at: str) -> ContentPart:
        url, param = part.image_address, f"{at}.image_url.url"
        if url is None:
            raise MissingParameter(f"`{at}.image_url` is required.", param=f"{at}.image_url")
        if url[:5].lower() == "data:":
            return ContentPart(inline_data=_inline(url, param))
        if url[:8].lower() != "https://":
            raise InvalidRequest(
                f"`{param}` is neither an https URL nor a data URL; {_DATA_URL_REMEDY}.",
                param=param,
            )
        if self._version < _IMAGE_URL_SINCE:
            raise InvalidRequest(
                f"`{param}` is an https URL, which this model does not fetch; {_DATA_URL_REMEDY}.",
                param=param,
            )
        extension = re.split("[?#]", url, maxsplit=1)[0].rpartition(".")[2].lower()
        return ContentPart(file_data=FileData(_IMAGE_TYPES.get(extension, "image/jpeg"), url))

    def _answer(self, message: Message, at: str) -> list[ContentPart]:
        parts = self._content(message, at)
        if message.refusal:
            parts.append(ContentPart(text=message.refusal))
        for number, call in enumerate(message.tool_calls or ()):
            parts.append(self._call(call, f"{at}.tool_calls[{number}]", first=number == 0))
        return parts

    def _call(self, call: ToolCall, at: str, *, first: bool) -> ContentPart:
        if call.function is None:
            raise UnsupportedParameter(
                f"`{at}.type` is {call.type[:40]!r}; Gemini is served `function` tools only.",
                param=f"{at}.type",
            )
        signature = _signature(call)
        if signature is None and first and self._version >= _SIGNATURE_SINCE:
            signature = SIGNATURE_UNKNOWN
        self._names[call.id] = name = google_name(call.function.name)
        # The id goes both ways since Gemini 3.5 demands it; earlier models accept it.
        return ContentPart(
            function_call=FunctionCall(
                name,
                _arguments(call.function.arguments, f"{at}.function.arguments"),
                call.id or None,
            ),
            thought_signature=signature,
        )

    def _result(self, message: Message, at: str) -> ContentPart:
        call_id, param = message.tool_call_id, f"{at}.tool_call_id"
        if call_id is None:
            raise MissingParameter(
                f"`{param}` is required; name the call that this answers.", param=param
            )
        name = self._names.get(call_id)
        if name is None:
            raise InvalidRequest(
                f"`{param}` is {call_id[:64]!r}, but no earlier assistant message made such a "
                "call; send the assistant message with its `tool_calls` first.",
                param=param,
            )
        text = "".join(part.text or "" for part in _text_parts(message, at))
        return ContentPart(
            function_response=FunctionResponse(name, _response(text), call_id or None)
        )


def _text_parts(message: Message, at: str) -> list[ContentPart]:
    """Return the texts of a message that may hold nothing else."""
    if not isinstance(message.content, list):
        return [ContentPart(text=message.content)] if message.content else []
    texts = []
    for number, part in enumerate(message.content):
        if part.type != "text":
            param = f"{at}.content[{number}].type"
            raise InvalidRequest(
                f"`{param}` is {part.type[:40]!r}; a {message.role} message for Gemini holds text "
                "only. Put other parts into a user message.",
                param=param,
            )
        if part.text:
            texts.append(ContentPart(text=part.text))
    return texts


def _audio(part: Part, at: str) -> ContentPart:
    audio = part.input_audio
    if audio is None:
        raise MissingParameter(f"`{at}.input_audio` is required.", param=f"{at}.input_audio")
    if audio.format not in _AUDIO_FORMATS:
        param = f"{at}.input_audio.format"
        known = ", ".join(sorted(_AUDIO_FORMATS))
        raise InvalidRequest(
            f"`{param}` is {audio.format[:40]!r}; Gemini reads {known}.", param=param
        )
    return ContentPart(inline_data=Blob(f"audio/{audio.format}", audio.data))


def _file(part: Part, at: str) -> ContentPart:
    param = f"{at}.file.file_data"
    if part.file is None or not part.file.file_data:
        raise InvalidRequest(
            f"`{param}` is required, because Gemini does not know uploaded file ids; "
            f"{_DATA_URL_REMEDY}.",
            param=param,
        )
    return ContentPart(inline_data=_inline(part.file.file_data, param))


def _inline(url: str, param: str) -> Blob:
    head, comma, data = url.partition(",")
    scheme, _, media = head.partition(":")
    mime_type, *options = media.split(";")
    if (
        scheme.lower() != "data"
        or not comma
        or not data
        or "/" not in mime_type
        or "base64" not in [option.strip().lower() for option in options]
    ):
        raise InvalidRequest(f"`{param}` cannot be read; {_DATA_URL_REMEDY}.", param=param)
    mime_type = mime_type.strip().lower()
    # No registered type, but a common one; Gemini refuses it.
    return Blob("image/jpeg" if mime_type == "image/jpg" else mime_type, data)


def _signature(call: ToolCall) -> str | None:
    google = (call.extra_content or {}).get("google")
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return signature if isinstance(signature, str) and signature else None


def _arguments(text: str, param: str) -> Raw:
    if not text.strip():
        return Raw(b"{}")
    if not _is_object(text):
        raise InvalidRequest(
            f"`{param}` is not a JSON object, which Gemini demands of a call in the history; "
            "repair it or leave the call and its result out.",
            param=param,
        )
    return Raw(text.encode())


def _response(text: str) -> Raw:
    if _is_object(text):
        return Raw(text.encode())
    return Raw(msgspec.json.encode({"result": text}))


_object_decoder = msgspec.json.Decoder(dict[str, Raw])


def _is_object(text: str) -> bool:
    try:
        _object_decoder.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True
