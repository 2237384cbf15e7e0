"""Why can a neighbor not be reached? gRPC says "unavailable"; this finds out which of the causes.

One bounded look with plain sockets, made only after gRPC has failed.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import closing

from flwr_digest.core.address import host_of, port_of
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import Peer
from flwr_digest.overlay.identity import name_of

LOOK_SECONDS = 3.0  # a TCP handshake with two lost packets (1 s + 2 s); past that it is "no answer"
_HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
_TLS_ALERT = 0x15
_OUT_OF_DATE = (9, 10)  # X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_CLOSES = "it closes connections at once (is something else listening there?)"


def diagnose(node: NodeId, peer: Peer, *, insecure: bool) -> str:
    """Return one clause that says what is wrong at a neighbor's address; empty if nothing is.

    Parameters
    ----------
    node : NodeId
        The neighbor.
    peer : Peer
        Its address, and its certificate unless `insecure`.
    insecure : bool
        Whether this side speaks plaintext.
    """
    try:
        connection = _connect(peer.address)
    except socket.gaierror:
        return f"the name {host_of(peer.address)} does not resolve"
    except TimeoutError:
        return "no answer (wrong address, or a firewall?)"
    except (ConnectionRefusedError, FileNotFoundError):
        return "nothing listens there (not started, or another address?)"
    except OSError as error:
        return error.strerror or str(error)
    with closing(connection):
        try:
            return _plain_look(connection, peer) if insecure else _tls_look(connection, node, peer)
        except TimeoutError:
            return "it accepts connections but does not answer"
        except OSError as error:
            return error.strerror or str(error)


def _connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(LOOK_SECONDS)
        try:
            connection.connect(address.removeprefix("unix:"))
        except OSError:
            connection.close()
            raise
        return connection
    return socket.create_connection((host_of(address), port_of(address)), timeout=LOOK_SECONDS)


def _plain_look(connection: socket.socket, peer: Peer) -> str:
    try:
        connection.sendall(_HTTP2_PREFACE)
        answer = connection.recv(16)
    except ConnectionError:
        answer = b""
    if answer and answer[0] != _TLS_ALERT:
        return ""
    if answer or _speaks_tls(peer.address):  # gRPC with TLS just closes
        return "it speaks TLS, this node plaintext: give both sides the same `insecure`"
    return _CLOSES


def _speaks_tls(address: str) -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with closing(_connect(address)) as connection:
            context.wrap_socket(connection).close()
    except OSError:  # not TLS, or gone since the last look
        return False
    return True


def _tls_look(connection: socket.socket, node: NodeId, peer: Peer) -> str:
    context = ssl.create_default_context(cadata=peer.certificate)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    try:
        context.wrap_socket(connection, server_hostname=name_of(node)).close()
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _OUT_OF_DATE:
            return f"its {error.verify_message} (are both clocks right?)"
        return "it shows another certificate than the plan's (of another session or node?)"
    except (ssl.SSLEOFError, ConnectionError):
        return _CLOSES
    except ssl.SSLError:
        return "it speaks plaintext, this node TLS: give both sides the same `insecure`"
    return ""
