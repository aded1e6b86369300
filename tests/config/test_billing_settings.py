import pytest

from tokenferry.config import ConfigError, load


def write(tmp_path, text):
    path = tmp_path / "tokenferry.toml"
    path.write_text(text)
    return path


def test_the_table_is_read(tmp_path):
    path = write(
        tmp_path,
        '[billing]\nsignup_credit = "1.00"\nmargin = "12.5"\ntop_up_url = "https://pay.example"\n',
    )
    billing = load(path, {}).billing
    assert (billing.signup_credit, billing.margin) == (10**9, 125_000)


def test_faults_have_their_line(tmp_path):
    path = write(tmp_path, '[billing]\nsignup_credit = 1.0\nmargine = "1"\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert [fault.line for fault in caught.value.faults] == [2, 3]


def test_an_array_of_tables_is_a_fault(tmp_path):
    with pytest.raises(ConfigError, match="array of tables"):
        load(write(tmp_path, "[[billing]]\n"), {})
