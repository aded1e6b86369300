"""Pages over two places: every row is met once, in order, whatever the places look through."""

from hypothesis import given, settings
from hypothesis import strategies as st

from domain.test_request_record import charge
from tokenferry.domain.request_page import Part, merged, position

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans()),
    max_size=25,
)


def part(rows, limit, before, scanned):
    """Look through so many rows of one place, as a store does."""
    behind = sorted(
        (row for row in rows if before is None or position(row) < before),
        key=position,
        reverse=True,
    )
    looked = behind[:scanned]
    found = [row for row in looked if row.model == "wanted"][:limit]
    if len(found) == limit:
        return Part(found, position(found[-1]))
    return Part(found, position(looked[-1]) if len(looked) == scanned else None)


@settings(max_examples=60, deadline=None)
@given(ROWS, ROWS, st.integers(1, 5), st.integers(1, 4), st.integers(1, 4))
def test_every_row_is_met_once_and_in_order(first, second, limit, scanned, other_scanned):
    places = [
        [
            charge(f"{name}{n:02}", ended_ms, model="wanted" if is_wanted else "other")
            for n, (ended_ms, is_wanted) in enumerate(rows)
        ]
        for name, rows in (("a", first), ("b", second))
    ]
    met, before, pages = [], None, 0
    while True:
        page = merged(
            (
                part(rows, limit, before, count)
                for rows, count in zip(places, (scanned, other_scanned), strict=True)
            ),
            limit,
        )
        assert len(page.rows) <= limit
        met += page.rows
        pages += 1
        if page.reached is None:
            break
        assert before is None or page.reached < before, "no page may stand still"
        before = page.reached
    wanted = [row for rows in places for row in rows if row.model == "wanted"]
    assert met == sorted(wanted, key=position, reverse=True)
    assert pages <= 2 + len(first) + len(second)


def test_a_row_behind_what_another_place_has_looked_through_waits():
    newest, middle, oldest = charge("c", 30), charge("b", 20), charge("a", 10)
    page = merged([Part([newest], (25, "x")), Part([middle, oldest], None)], 10)
    assert page == Part([newest], (25, "x"))


def test_one_full_place_and_one_at_its_end():
    rows = [charge("b", 2), charge("a", 1)]
    assert merged([Part(rows, (1, "a")), Part([], None)], 2) == Part(rows, (1, "a"))
    assert merged([Part(rows, None), Part([], None)], 3) == Part(rows, None)
    assert merged([Part([], None), Part([], None)], 1) == Part([], None)
