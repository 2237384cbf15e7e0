"""The command lines of Flower's deployment, for one machine or for many hosts.

The same functions start a launch and are what the README's commands are checked against: what it
tells users to type is what the tests run.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from flwr_digest.launch.credentials import ServerFiles
from flwr_digest.launch.workspace import key_values


def superlink_command(
    address: str, *, simulation: bool = False, files: ServerFiles | None = None
) -> list[str]:
    """Return the command of a SuperLink.

    Parameters
    ----------
    address : str
        Where it listens, ``HOST:PORT``.
    simulation : bool
        Whether it simulates the nodes itself.
    files : ServerFiles, optional
        Turns on TLS and SuperNode authentication: only SuperNodes that are registered may come.
    """
    command = ["flower-superlink"]
    if files is None:
        command += ["--insecure"]
    else:
        command += ["--ssl-ca-certfile", str(files.ca_certificate)]
        command += ["--ssl-certfile", str(files.certificate)]
        command += ["--ssl-keyfile", str(files.key), "--enable-supernode-auth"]
    command += _listening(address)
    return [*command, "--simulation"] if simulation else command


def supernode_command(
    superlink: str,
    node_config: Mapping[str, str | int | float | bool],
    *,
    address: str | None = None,
    ca_certificate: Path | None = None,
    key: Path | None = None,
) -> list[str]:
    """Return the command of a SuperNode.

    Parameters
    ----------
    superlink : str
        Where the SuperLink is, ``HOST:PORT``.
    node_config : mapping of str to str, int, float or bool
        What the node is told, such as its ``digest-address``.
    address : str, optional
        Where it listens to the ClientApps that it starts, ``HOST:PORT``; nobody else comes there.
        None: where Flower says, which is enough for one SuperNode on a host.
    ca_certificate : Path, optional
        Turns on TLS: the certificate, PEM, of who has signed that of the SuperLink.
    key : Path, optional
        For SuperNode authentication: the node's private key in OpenSSH's form.
    """
    command = ["flower-supernode"]
    if ca_certificate is None:
        command += ["--insecure"]
    else:
        command += ["--root-certificates", str(ca_certificate)]
    command += [] if key is None else ["--auth-supernode-private-key", str(key)]
    command += ["--superlink", superlink]
    command += [] if address is None else _listening(address)
    return [*command, "--node-config", key_values(node_config)]


def register_command(public_key: Path, connection: str) -> list[str]:
    """Return the command that lets the SuperNode with this key come to a SuperLink."""
    return ["flwr", "supernode", "register", str(public_key), connection]


def connection_toml(name: str, address: str, ca_certificate: Path | None = None) -> str:
    """Return what Flower's configuration file says of a SuperLink, so that `flwr` finds it."""
    if ca_certificate is None:
        trust = "insecure = true"
    else:
        trust = f'root-certificates = "{ca_certificate}"'
    return f'[superlink.{name}]\naddress = "{address}"\n{trust}\n'


def _listening(address: str) -> list[str]:
    host, _, port = address.rpartition(":")
    return ["--host", host.strip("[]"), "--port", port]  # of [IPv6]:PORT Flower wants IPv6
