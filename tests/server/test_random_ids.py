import re

import pytest

from tokenferry.server.random_ids import POOL_BYTES, RandomIds, stream_id


def test_no_byte_is_used_twice() -> None:
    asked: list[int] = []

    def urandom(size: int) -> bytes:
        asked.append(size)
        first = (len(asked) - 1) * size
        return b"".join(n.to_bytes(4) for n in range(first, first + size, 4))

    ids = RandomIds(urandom)
    made = [ids.hex(12) for _ in range(1_000)]
    assert len(set(made)) == len(made)
    # What is left of a pool and too short is not used.
    assert asked == [POOL_BYTES] * (-(-1_000 // (POOL_BYTES // 12)))
    words = [int(text[begin : begin + 8], 16) for text in made for begin in (0, 8, 16)]
    assert words == sorted(set(words))


@pytest.mark.parametrize("size", [1, 6, 12, POOL_BYTES])
def test_an_id_has_two_characters_a_byte(size: int) -> None:
    ids = RandomIds()
    for _ in range(3):
        assert re.fullmatch(rf"[0-9a-f]{{{2 * size}}}", ids.hex(size))


def test_a_stream_of_a_later_second_comes_later_in_every_index() -> None:
    seconds = [0, 1, 1_790_000_000, 1_790_000_001, 2**32 - 1]
    made = [stream_id(second * 1000 + ms) for second in seconds for ms in (0, 999)]
    assert [text[:11] for text in made] == [
        f"st_{second:08x}" for second in seconds for _ in range(2)
    ]
    assert all(re.fullmatch(r"st_[0-9a-f]{24}", text) for text in made)
    assert len({text[11:] for text in made}) == len(made)
