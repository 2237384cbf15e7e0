"""Addresses: what is one, what others can dial, and what only this machine can."""

from __future__ import annotations

import pytest

from flwr_digest.core.address import (
    MOST_UNIX_PATH,
    NOWHERE,
    check_address,
    check_dialable,
    dials,
    host_of,
    is_local,
    port_of,
)
from flwr_digest.errors import ConfigError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.5:7100", "10.0.0.5", 7100),
        ("node-5.example.org:1", "node-5.example.org", 1),
        ("[::1]:65535", "::1", 65535),
        ("[fe80::1%eth0]:7100", "fe80::1%eth0", 7100),
    ],
)
def test_host_and_port_are_taken_apart(text: str, host: str, port: int) -> None:
    assert check_address(text, "digest-listen") == text
    assert (host_of(text), port_of(text)) == (host, port)


@pytest.mark.parametrize("text", ["unix:/run/node.sock", "unix:///run/node.sock"])
def test_a_unix_socket_is_an_address(text: str) -> None:
    assert check_address(text, "digest-listen") == text


@pytest.mark.parametrize(
    "text", ["", "10.0.0.5", ":7100", "host:", "host:x", "host:0", "host:65536", "host:-1", "7100"]
)
def test_what_is_no_address_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_address(text, "digest-listen")
    assert str(caught.value) == (
        f'digest-listen="{text}" is no address: write host:port, as in "10.0.0.5:7100"'
    )


@pytest.mark.parametrize("path", ["node.sock", "", "/" + "x" * MOST_UNIX_PATH, "/" + "é" * 54])
def test_a_unix_path_that_the_kernel_would_refuse_is_refused(path: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_address(f"unix:{path}", "digest-listen")
    assert str(caught.value) == (
        f'digest-listen="unix:{path}": a unix socket needs an absolute path of at most 107 bytes'
    )


def test_the_longest_unix_path_is_allowed() -> None:
    check_address("unix:/" + "x" * (MOST_UNIX_PATH - 1), "digest-listen")


@pytest.mark.parametrize("text", ["0.0.0.0:7100", "[::]:7100", "*:7100"])
def test_everywhere_cannot_be_dialled(text: str) -> None:
    assert check_address(text, "digest-listen") == text
    with pytest.raises(ConfigError) as caught:
        check_dialable(text, "digest-listen")
    assert str(caught.value) == (
        f'digest-listen="{text}" listens everywhere but cannot be dialled: say where with '
        'digest-advertise="host:port"'
    )


@pytest.mark.parametrize("text", ["10.0.0.5:7100", "[::1]:7100", "name:7100", "unix:/run/x"])
def test_a_place_can_be_dialled(text: str) -> None:
    assert check_dialable(text, "digest-listen") == text


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("unix:/run/node.sock", True),
        ("localhost:7100", True),
        ("127.0.0.1:7100", True),
        ("127.8.8.8:7100", True),
        ("[::1]:7100", True),
        ("10.0.0.5:7100", False),
        ("0.0.0.0:7100", False),
        ("[fe80::1]:7100", False),
        ("node-5.example.org:7100", False),
    ],
)
def test_only_loopback_and_sockets_are_local(text: str, local: bool) -> None:
    assert is_local(text) is local


@pytest.mark.parametrize(
    ("mine", "theirs", "expected"),
    [
        ("a:1", "b:1", True),  # the lower id dials
        (NOWHERE, "b:1", True),
        ("a:1", NOWHERE, False),
        (NOWHERE, NOWHERE, False),
    ],
)
def test_who_cannot_be_reached_dials(mine: str, theirs: str, expected: bool) -> None:
    assert dials(1, mine, 2, theirs) is expected
    assert dials(2, theirs, 1, mine) is (not expected and (mine, theirs) != (NOWHERE, NOWHERE))


def test_a_node_that_only_dials_is_not_local() -> None:
    assert not is_local(NOWHERE)
