"""Where a node listens and where it is dialled, and what is said when that cannot be."""

from __future__ import annotations

import pytest

from flwr_digest.clients.endpoint import Endpoint, endpoint_of
from flwr_digest.core.address import NOWHERE
from flwr_digest.errors import ConfigError
from tests.support.digest_messages import context_of

NODE = 4


def refused(config: dict[str, str | int]) -> str:
    with pytest.raises(ConfigError) as caught:
        endpoint_of(context_of(NODE, config))
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize("address", ["10.0.0.5:7100", "[::1]:7100", "node.lan:7100", "unix:/t/s"])
def test_one_address_is_both(address: str) -> None:
    assert endpoint_of(context_of(NODE, {"digest-address": address})) == Endpoint(address, address)


def test_behind_a_forwarded_port_there_are_two() -> None:
    config: dict[str, str | int] = {
        "digest-address": "0.0.0.0:7100",
        "digest-advertise": "home.example:9000",
    }
    assert endpoint_of(context_of(NODE, config)) == Endpoint("0.0.0.0:7100", "home.example:9000")


def test_a_node_that_nobody_can_reach_only_dials() -> None:
    config: dict[str, str | int] = {"digest-address": "none"}
    assert endpoint_of(context_of(NODE, config)) == Endpoint(NOWHERE, NOWHERE)


def test_without_an_address_the_user_is_told_what_to_type() -> None:
    assert "--node-config 'digest-address=\"HOST:PORT\"'" in refused({"partition-id": 0})


@pytest.mark.parametrize("everywhere", ["0.0.0.0:7100", "[::]:7100"])
def test_everywhere_can_be_listened_at_but_not_dialled(everywhere: str) -> None:
    assert "digest-advertise" in refused({"digest-address": everywhere})
    both = {"digest-address": "0.0.0.0:7100", "digest-advertise": everywhere}
    assert 'digest-advertise="' + everywhere in refused({**both})


@pytest.mark.parametrize("wrong", ["7100", "host:", ":7100", "host:0", "host:70000", "unix:s", ""])
def test_what_is_no_address_is_quoted(wrong: str) -> None:
    assert f'digest-address="{wrong}"' in refused({"digest-address": wrong})


def test_a_number_for_an_address_is_refused_like_any_other_wrong_text() -> None:
    assert 'digest-address="7100"' in refused({"digest-address": 7100})


def test_a_wrong_address_to_listen_at_is_found_beside_a_right_one_to_dial() -> None:
    line = refused({"digest-address": "nonsense", "digest-advertise": "home.example:9000"})
    assert 'digest-address="nonsense"' in line
