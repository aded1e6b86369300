"""What the provider says: token i of stream s is a function of both, so anybody can check it.

A stream's script stands in its prompt: name, number of tokens, pace. The provider reads it there,
and the clients know what each chunk has to be without asking anybody.

Weakness: a token is recognized by the syllable at its end, one of 11,172; two neighbours that are
the same are as rare as that.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b

# Korean, emoji of several code points, ASCII, and what JSON, SSE and XML have to escape or cut.
PIECES = (
    "안녕하세요 ", "스트림", "끊어진 ", "다시 이어서 ", "뷁", "token ", "the quick brown fox ", "x",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "🇰🇷", "👍🏽", "e\u0301",
    '"\\/', "\n", "\r\n\r\n", "data: [DONE]\n\n", "\t\u0001\u007f",
    "\u2028\u2029", "<&>", "\U00020bb7",
)  # fmt: skip
REPEATS = (1, 1, 1, 1, 1, 2, 3, 40)
SYLLABLES = (0xAC00, 11_172)  # Unicode 15, "Hangul Syllables"
PROMPT = re.compile(r"chaos ([a-z0-9]{1,40}) (\d{1,5}) (\d{1,7})")
US_PER_S = 1_000_000


@lru_cache(maxsize=1 << 16)
def token(name: str, index: int) -> str:
    """Return token `index`, from 0, of the stream called `name`; never empty."""
    draw = blake2b(f"{name}/{index}".encode(), digest_size=8).digest()
    piece = PIECES[draw[0] % len(PIECES)] * REPEATS[draw[1] % len(REPEATS)]
    first, count = SYLLABLES
    return piece + chr(first + int.from_bytes(draw[2:6]) % count)


@dataclass(frozen=True, slots=True)
class Script:
    """What one stream is.

    Attributes:
        name: Its name; the provider counts by it.
        tokens: How many it has.
        pace_us: Microseconds between two; 0 for all at once.
    """

    name: str
    tokens: int
    pace_us: int

    @property
    def prompt(self) -> str:
        """Return the prompt that orders it."""
        return f"chaos {self.name} {self.tokens} {self.pace_us}"

    @property
    def prompt_tokens(self) -> int:
        """Return what the provider says that the prompt has: each stream's bill is its own."""
        return 7 + int.from_bytes(blake2b(self.name.encode(), digest_size=2).digest())

    @property
    def records(self) -> int:
        """Return the seq of the terminal record: head, tokens, terminal."""
        return self.tokens + 2

    def text(self, first: int, last: int) -> str:
        """Return what the records `first`..`last` say together; the head record says nothing."""
        return "".join(token(self.name, seq - 2) for seq in range(max(first, 2), last + 1))


def parse(body: str) -> Script | None:
    """Return the script that a request's body orders, if it does."""
    found = PROMPT.search(body)
    return Script(found[1], int(found[2]), int(found[3])) if found else None
