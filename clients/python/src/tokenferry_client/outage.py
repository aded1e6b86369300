"""For how long no connection has held, and when that is reason enough to give up. Pure.

Source: spec/PROTOCOL.md, section 8; the cases of spec/vectors/client/outage.json.
"""

from tokenferry_client import closing
from tokenferry_client.events import ErrorInfo
from tokenferry_client.link_options import LinkOptions


class Outage:
    """What has gone wrong since things went well.

    Args:
        options: When it is enough.

    Attributes:
        attempts: How many connections have failed in a row.
        held: Whether a server has ever greeted this client.
    """

    def __init__(self, options: LinkOptions) -> None:
        self._options = options
        self._since_ms: int | None = None
        self.attempts = 0
        self.held = False

    def forgive(self) -> None:
        """Take note that things go well."""
        self.attempts, self._since_ms = 0, None

    def in_vain(self, code: int, now_ms: int, refusal: ErrorInfo | None) -> bool:
        """Say whether what has not begun is to be told.

        It is when nothing has ever answered here, or a limit is in the way, and its user does not
        want to wait for that any longer.
        """
        if self.held and code != closing.TOO_MANY_CONNECTIONS:
            return False
        retries_max, wait_ms_max = self._options.retries_max, self._options.wait_ms_max
        if retries_max is not None and self.attempts >= retries_max:
            return True
        return wait_ms_max is not None and self._lasts_ms(now_ms, refusal) > wait_ms_max

    def over(self, now_ms: int, refusal: ErrorInfo | None) -> bool:
        """Say whether everything is to be given up."""
        options = self._options
        if self.attempts >= options.attempts_max:
            return True
        return self._lasts_ms(now_ms, refusal) >= options.outage_ms_max

    def error(self) -> ErrorInfo:
        """Return what is said when everything is given up."""
        said = f"No connection held, {self.attempts} attempts in a row."
        return ErrorInfo("connection_lost", said, retryable=True)

    def next_ms(self, code: int, refusal: ErrorInfo | None, random_bits: int) -> int:
        """Return how long to wait before the next attempt, and count it."""
        delay_ms = closing.delay_ms(code, self.attempts, random_bits)
        self.attempts += 1
        return max(delay_ms, _after_ms(refusal))

    def _lasts_ms(self, now_ms: int, refusal: ErrorInfo | None) -> int:
        """Return how long it will have lasted when the server wants to be asked again."""
        if self._since_ms is None:
            self._since_ms = now_ms
        return now_ms + _after_ms(refusal) - self._since_ms


def _after_ms(refusal: ErrorInfo | None) -> int:
    """Return in how long the server wants to be asked again; 0 if it did not say."""
    return (refusal and refusal.retry_after_ms) or 0
