import pytest

from tokenferry.domain.chunk_gap import mean_gap_s


@pytest.mark.parametrize(
    ("chunks", "first_s", "last_s", "gap_s"),
    [
        (2, 1.0, 1.5, 0.5),
        (6, 1.0, 2.0, 0.2),
        (2, 1.0, 1.0, 0.0),
        (1, 1.0, 2.0, None),
        (0, None, None, None),
        (5, None, 2.0, None),
        (5, 1.0, None, None),
        (5, 2.0, 1.0, None),
    ],
)
def test_the_mean_gap(
    chunks: int, first_s: float | None, last_s: float | None, gap_s: float | None
) -> None:
    assert mean_gap_s(chunks, first_s, last_s) == gap_s
