from hypothesis import given
from hypothesis import strategies as st

from tokenferry.domain.key_ring import LIMITED_MAX_S, REFUSED_S, REST_MIN_S, KeyRing


def test_one_key_is_always_the_one() -> None:
    ring = KeyRing(1)
    ring.limited(0, "m", 100, 60)
    ring.refused(0, 100)
    assert ring.choose("m", 100) == 0
    assert not ring.is_free("m", 100)


def test_a_limited_key_rests_until_the_provider_says_and_the_next_one_serves() -> None:
    ring = KeyRing(2)
    assert ring.choose("m", 100) == 0
    ring.limited(0, "m", 100, 7.5)
    assert ring.choose("m", 100) == 1
    assert ring.is_free("m", 100)
    # Another model has a limit of its own.
    assert ring.choose("other", 100) == 0
    # Free again, but the other one's last limit is longer ago.
    assert ring.choose("m", 108) == 1
    ring.limited(1, "m", 108, 1)
    assert ring.choose("m", 110) == 0


def test_where_all_rest_the_soonest_free_is_asked() -> None:
    ring = KeyRing(3)
    for position, wait_s in enumerate((30, 10, 20)):
        ring.limited(position, "m", 100, wait_s)
    assert ring.choose("m", 100) == 1
    assert not ring.is_free("m", 109.9)
    assert ring.is_free("m", 110)
    assert ring.free_s("m") == 110


def test_without_a_word_a_rest_doubles_up_to_the_longest_until_the_key_serves() -> None:
    ring = KeyRing(1)
    rests = []
    for _ in range(8):
        ring.limited(0, "m", 100, None)
        rests.append(ring.free_s("m") - 100)
    assert rests == [1, 2, 4, 8, 16, 32, LIMITED_MAX_S, LIMITED_MAX_S]
    ring.served(0, "m")
    ring.limited(0, "m", 200, None)
    assert ring.free_s("m") == 201


def test_a_wait_of_nothing_is_a_rest_all_the_same() -> None:
    ring = KeyRing(2)
    ring.limited(0, "m", 100, 0.0)
    assert ring.choose("m", 100) == 1
    assert ring.free_s("m") == 0
    ring.limited(1, "m", 100, 0.0)
    assert ring.free_s("m") == 100 + REST_MIN_S


def test_a_refused_key_is_refused_for_all_models_until_it_serves() -> None:
    ring = KeyRing(2)
    assert ring.refused(0, 100)
    assert not ring.refused(0, 100)
    assert (ring.choose("m", 100), ring.choose("n", 100)) == (1, 1)
    assert ring.choose("m", 100 + REFUSED_S) == 0
    ring.served(0, "m")
    assert [state.state for state in ring.states(100)] == ["ready", "ready"]


def test_states_name_keys_by_position_with_their_longest_rest() -> None:
    ring = KeyRing(3)
    ring.limited(0, "m", 100, 5)
    ring.limited(0, "n", 100, 9)
    ring.refused(2, 100)
    assert ring.states(101) == [(1, "limited", 8), (2, "ready", 0), (3, "refused", REFUSED_S - 1)]
    assert [state.state for state in ring.states(1000)] == ["ready"] * 3


@given(
    st.integers(1, 4),
    st.lists(
        st.tuples(
            st.sampled_from(["limited", "refused", "served", "wait"]),
            st.integers(0, 3),
            st.sampled_from(["m", "n"]),
            st.none() | st.floats(0, 100),
        ),
        max_size=60,
    ),
)
def test_a_key_that_rests_is_chosen_only_where_all_do(count, acts) -> None:
    ring, now_s = KeyRing(count), 100.0
    for act, position, model, wait_s in acts:
        if act == "wait":
            now_s += wait_s or 0
        elif act == "limited":
            ring.limited(position % count, model, now_s, wait_s)
        elif act == "refused":
            ring.refused(position % count, now_s)
        else:
            ring.served(position % count, model)
        for name in ("m", "n"):
            chosen = ring.choose(name, now_s)
            assert 0 <= chosen < count
            assert (ring._until_s(chosen, name) <= now_s) == ring.is_free(name, now_s)
            assert ring.is_free(name, max(now_s, ring.free_s(name)))


def test_a_spent_key_is_used_only_where_all_others_rest() -> None:
    ring = KeyRing(3)
    assert ring.choose("m", 100, {0}) == 1
    assert ring.choose("m", 100, {0, 1, 2}) == 0
    ring.limited(1, "m", 100, 9)
    ring.limited(2, "m", 100, 5)
    assert ring.choose("m", 100, {0}) == 0
