"""Which addresses a request may go to."""

from ipaddress import ip_address, ip_network

import pytest

from webhooks.addresses import may_be_sent_to


@pytest.mark.parametrize(
    "address",
    ["93.184.216.34", "8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1"],
)
def test_public_addresses_may_be_sent_to(address: str) -> None:
    assert may_be_sent_to(ip_address(address), ())


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.170",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.250",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",  # Teredo: a public server, and the client 192.0.2.45
        "2001:0:7f00:1:0:0:f7f7:f7f7",  # Teredo: the server 127.0.0.1
        "2001:db8::1",
        "2001:10::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
    ],
)
def test_addresses_that_are_not_public_may_not(address: str) -> None:
    assert not may_be_sent_to(ip_address(address), ())


@pytest.mark.parametrize("address", ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"])
def test_a_network_that_the_settings_allow_may_be_sent_to(address: str) -> None:
    assert may_be_sent_to(ip_address(address), (ip_network("127.0.0.0/8"),))


@pytest.mark.parametrize("address", ["10.0.0.1", "::1", "169.254.169.254"])
def test_allowing_one_network_allows_no_other(address: str) -> None:
    assert not may_be_sent_to(ip_address(address), (ip_network("127.0.0.0/8"),))
