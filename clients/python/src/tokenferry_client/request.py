"""A request as it will be sent: a copy that nobody can change, and that is JSON.

A request may be sent later, and again on another connection, where it must be the same one: its
idempotency key says so. And one that is no JSON would be answered to nobody: a server cannot say
whose request it was that it could not read.

Weakness: it is written out twice, here and when it is sent.
"""

import json
from typing import Any

from tokenferry_client.errors import InvalidRequestError
from tokenferry_client.lane import Creation


def fixed(
    request: dict[str, Any], idempotency_key: str, options: dict[str, Any] | None
) -> Creation:
    """Return what is to be created, whatever becomes of the objects that it was made of.

    Raises:
        InvalidRequestError: If it cannot be sent.
    """
    try:
        text = json.dumps([request, options], ensure_ascii=False, allow_nan=False)
        f"{text}{idempotency_key}".encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequestError(
            "The request cannot be sent: a text in it holds half of an emoji or of another "
            "character (a lone surrogate). Read texts as UTF-8, and cut them between characters."
        ) from exc
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequestError(f"The request cannot be sent, as it is no JSON: {exc}.") from exc
    request_copy, options_copy = json.loads(text)
    return Creation(request_copy, idempotency_key, options_copy)
