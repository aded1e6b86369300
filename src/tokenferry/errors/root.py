"""The root of the tree of errors."""

from typing import ClassVar


class TokenferryError(Exception):
    """The root of the tree.

    Args:
        message: One sentence that says what is wrong and what to do. Shown to the client.
        param: The request field at fault, as a path such as `messages[0].role`.
        retry_after_ms: How long the client should wait, when that is known.

    Attributes:
        details: Further facts, sent beside the error.
    """

    code: str = "internal_error"
    type: str = "server_error"
    http_status: int = 500
    close_code: ClassVar[int | None] = None
    retryable: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, retry_after_ms: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_ms = retry_after_ms
        self.details: dict[str, object] = {}

    @property
    def kind(self) -> str:
        """A word for metrics and logs: of a bounded number, and never in a provider's own words."""
        return self.code
