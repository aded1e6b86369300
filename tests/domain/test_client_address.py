import pytest

from tokenferry.domain.client_address import client_address, network_of


@pytest.mark.parametrize(
    ("forwarded", "proxies", "address"),
    [
        ([], 0, "peer"),
        (["1.1.1.1"], 0, "peer"),
        ([], 1, "peer"),
        (["6.6.6.6, 1.1.1.1"], 1, "1.1.1.1"),
        (["6.6.6.6, 1.1.1.1", "2.2.2.2"], 2, "1.1.1.1"),
        (["1.1.1.1"], 2, "peer"),
        (["1.1.1.1, ,"], 1, "1.1.1.1"),
    ],
)
def test_only_one_s_own_proxies_are_believed(forwarded, proxies, address):
    assert client_address("peer", forwarded, proxies) == address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("1.2.3.4:5678", "1.2.3.4"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2:3:4:5:6]:80", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("nonsense", "unknown"),
        ("", "unknown"),
    ],
)
def test_what_a_limit_counts_by(address, network):
    assert network_of(address) == network
