"""The commands that make and list vouchers."""

import pytest

from tokenferry.domain.voucher import parse_code


def test_codes_alone_are_printed(run) -> None:
    result = run("vouchers", "create", "--amount", "5.00", "--count", "3", "--batch", "봄")
    codes = result.out.splitlines()
    assert result.code == 0
    assert [parse_code(code) for code in codes] == codes
    assert len(set(codes)) == 3
    listed = run("vouchers", "list", "--batch", "봄").out
    assert listed.count("5.00") == 3
    assert not any(code in listed for code in codes)
    assert run("vouchers", "list", "--batch", "x").out.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [
        ("--amount", "0"),
        ("--amount", "-1"),
        ("--amount", "1e3"),
        ("--amount", "1", "--count", "0"),
        ("--amount", "1", "--count", "10001"),
        ("--amount", "1", "--expires", "2020-01-01"),
        ("--amount", "1", "--expires", "soon"),
        ("--amount", "1", "--batch", ""),
    ],
)
def test_what_cannot_be_is_refused(run, options) -> None:
    result = run("vouchers", "create", *options)
    assert (result.code, result.out) == (2, "")
    assert result.err


def test_they_expire_and_the_list_says_so(run) -> None:
    assert run("vouchers", "create", "--amount", "1", "--expires", "2999-01-01").code == 0
    assert "until 2999-01-01" in run("vouchers", "list").out


def test_without_a_server_s_directory(run) -> None:
    assert run("vouchers", "list").code == 1
