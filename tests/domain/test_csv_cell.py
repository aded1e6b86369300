import pytest

from tokenferry.domain.csv_cell import harmless


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_what_a_spreadsheet_would_compute_is_quoted(cell):
    assert harmless(cell) == f"'{cell}"


@pytest.mark.parametrize("cell", ["", "gpt-4.1", "한국어=", "a@b", " =1"])
def test_anything_else_stays_as_it_is(cell):
    assert harmless(cell) == cell
