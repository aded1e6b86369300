from tokenferry.stores.segment_book import Book
from tokenferry.stores.segment_index import Contents, StreamPart


def part(number: int, before: int, head: int, *, name: str = "s") -> StreamPart:
    return StreamPart(number, name, b"", ((1, 1),), before, head, 1, b"", b"")


def contents(*parts: StreamPart, dropped: tuple[int, ...] = ()) -> Contents:
    return Contents(0, 0, max([each.number for each in parts], default=0), list(dropped), [*parts])


def book_of(*segments: Contents) -> Book:
    book = Book()
    for number, each in enumerate(segments, 1):
        book.add(number, each)
    return book


def kept(book: Book) -> dict[int, list[int]]:
    return {segment: sorted(numbers) for segment, numbers in book.kept.items()}


def test_a_stream_keeps_all_its_segments() -> None:
    book = book_of(contents(part(1, 0, 3)), contents(), contents(part(1, 3, 5)))
    assert kept(book) == {1: [1], 2: [], 3: [1]}
    assert book.logs["s"].head == 5


def test_what_has_lost_its_beginning_is_not_kept() -> None:
    book = book_of(contents(part(1, 3, 5)), contents(part(1, 5, 6)))
    assert book.logs == {}
    assert kept(book) == {1: [], 2: []}


def test_what_comes_after_a_gap_is_not_kept_until_somebody_goes_on_before_it() -> None:
    book = book_of(contents(part(1, 0, 3)), contents(part(1, 4, 5)), contents(part(1, 3, 9)))
    assert kept(book) == {1: [1], 2: [], 3: [1]}
    assert book.logs["s"].head == 9


def test_what_a_later_segment_goes_back_on_is_not_kept() -> None:
    book = book_of(contents(part(1, 0, 3)), contents(part(1, 3, 5)), contents(part(1, 2, 4)))
    assert kept(book) == {1: [1], 2: [], 3: [1]}
    assert book.logs["s"].head == 4


def test_a_number_is_not_given_again() -> None:
    book = book_of(contents(part(7, 0, 3)), contents(part(2, 0, 3, name="o")))
    assert [book.new_log("n").number, book.new_log("n").number] == [8, 9]


def test_what_was_dropped_is_remembered_as_long_as_a_segment_has_it() -> None:
    book = book_of(
        contents(part(1, 0, 3), part(2, 0, 1, name="o")),
        contents(part(3, 0, 1, name="p"), dropped=(1,)),
    )
    assert list(book.logs) == ["o", "p"]
    assert book.said_only_by(2) == [1]
    assert book.said_only_by(1) == []
    book.forget(book.logs["p"])
    book.kept[4] = {}
    book.said(4)
    book.delete(2)
    # Of 3 nothing is left that could come back; 1 would.
    assert book.unsaid == [1]
    book.said(4)
    assert book.unsaid == []
    assert book.contents(4, 10, 11) == Contents(10, 11, 3, [1], [])
    book.forget(book.logs["o"])
    assert book.unsaid == [2]
    book.delete(1)
    assert book.unsaid == []
    assert book.said_only_by(4) == []


def test_a_name_that_is_created_anew_is_another_stream() -> None:
    book = book_of(contents(part(1, 0, 3)), contents(part(2, 0, 1)), contents(part(1, 3, 4)))
    assert book.logs["s"].number == 2
    assert book.logs["s"].head == 1
    assert kept(book) == {1: [], 2: [2], 3: []}
    assert book.said_only_by(2) == [1]
