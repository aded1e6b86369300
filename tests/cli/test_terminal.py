from tokenferry.cli.terminal import table


def test_columns_are_as_wide_as_what_is_seen() -> None:
    assert table([("A", "B"), ("김철수", "1"), ("ab", "2")]) == "A       B\n김철수  1\nab      2\n"


def test_combining_characters_take_no_room_and_lines_end_with_their_text() -> None:
    assert table([("e\u0301", "x"), ("ab", "")]) == "e\u0301   x\nab\n"
