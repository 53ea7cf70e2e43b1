"""Whom the emulator answers: this machine, by names that no stranger can give it."""

import pytest

from dsrun.emulator.hosts import check_host
from dsrun.emulator.wire import Refusal


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "localhost:8765", "LOCALHOST:1", "localhost.", "localhost.:80",
        "127.0.0.1", "127.0.0.1:8765", "127.8.9.10:80", "127.0.0.1:", "127.0.0.1.",
        "[::1]", "[::1]:8765", "[0:0:0:0:0:0:0:1]:80", "[::ffff:127.0.0.1]:80",
    ],
)  # fmt: skip
@pytest.mark.parametrize("bound_to", ["127.0.0.1", "::1", "localhost", "0.0.0.0"])
def test_loopback_is_answered_on_any_port(host, bound_to):
    check_host([host], bound_to=bound_to)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "evil.example:8765", "127.0.0.1.evil.example", "localhost.evil.example",
        "evil-localhost", "xlocalhost:80", "localhost@evil.example", "evil.example#localhost",
        "127.0.0.1, evil.example", "localhost:80:80", "localhost:80x", "localhost..", "", ":80",
        "192.168.0.7", "10.0.0.1:80", "0.0.0.0:80", "8.8.8.8", "[::]:80", "[2001:db8::1]",
        "[::ffff:8.8.8.8]", "[::1", "::1]", "127.1", "2130706433", "0x7f.0.0.1",
        "127.0.0.1%00.evil.example", "[::1].evil.example", "l\u043ecalhost", "localhost\u3002",
    ],
)  # fmt: skip
def test_any_other_host_is_refused_by_name(host):
    with pytest.raises(Refusal) as caught:
        check_host([host], bound_to="127.0.0.1")
    assert (caught.value.status, caught.value.code) == (403, "AccessDenied")
    assert repr(host[:100]) in caught.value.message
    assert "--host" in caught.value.message


@pytest.mark.parametrize("given", [[], ["localhost", "evil.example"]])
def test_no_host_and_two_of_them_are_refused(given):
    with pytest.raises(Refusal):
        check_host(given, bound_to="127.0.0.1")


@pytest.mark.parametrize("bound_to", ["0.0.0.0", "::", "192.168.0.7", "emulator"])
def test_who_listens_beyond_loopback_is_reached_by_address_but_by_no_strange_name(bound_to):
    check_host(["192.168.0.7:8765"], bound_to=bound_to)
    check_host(["[2001:db8::1]:8765"], bound_to=bound_to)
    with pytest.raises(Refusal):
        check_host(["evil.example:8765"], bound_to=bound_to)


def test_the_name_to_listen_on_is_answered():
    check_host(["Emulator:8765"], bound_to="emulator")
