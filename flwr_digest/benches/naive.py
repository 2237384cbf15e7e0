"""What a naive overlay does: a unary gRPC call with the model as bytes in a protobuf message."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import grpc
import numpy as np
import numpy.typing as npt
from google.protobuf.empty_pb2 import Empty  # type: ignore[import-untyped]
from google.protobuf.wrappers_pb2 import BytesValue  # type: ignore[import-untyped]

from flwr_digest.benches.ends import PATIENCE_SECONDS, Meeting, Way
from flwr_digest.core.ids import NodeId
from flwr_digest.errors import DigestError
from flwr_digest.overlay.identity import name_of

SERVICE, METHOD = "naive.Overlay", "Send"
OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Receiver:
    """Takes models in as NumPy vectors, and acknowledges each with an empty message."""

    def __init__(self, meeting: Meeting) -> None:
        self._vector: npt.NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._server = grpc.server(ThreadPoolExecutor(2), options=OPTIONS)
        handler = grpc.unary_unary_rpc_method_handler(
            self._take, BytesValue.FromString, Empty.SerializeToString
        )
        self._server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),)
        )
        if meeting.identities is None:
            self._server.add_insecure_port(meeting.address)
        else:
            theirs, mine = meeting.identities
            credentials = grpc.ssl_server_credentials(
                [(mine.key, mine.certificate)], theirs.certificate, require_client_auth=True
            )
            self._server.add_secure_port(meeting.address, credentials)
        self._server.start()

    def prepare(self, values: int) -> None:
        """Forget the last model."""
        self._vector = np.empty(0, dtype=np.float32)

    def hop(self) -> None:
        """Not this end's."""

    def close(self) -> None:
        """Stop the server."""
        self._server.stop(grace=None).wait()

    def _take(self, request: BytesValue, context: grpc.ServicerContext) -> Empty:
        self._vector = np.frombuffer(request.value, dtype=np.float32)
        return Empty()


class Sender:
    """Sends a model, and waits for the answer."""

    def __init__(self, meeting: Meeting) -> None:
        self._vector: npt.NDArray[np.float32] = np.empty(0, dtype=np.float32)
        self._channel = _channel(meeting)
        self._call: grpc.UnaryUnaryMultiCallable[BytesValue, Empty] = self._channel.unary_unary(
            f"/{SERVICE}/{METHOD}", BytesValue.SerializeToString, Empty.FromString
        )

    def prepare(self, values: int) -> None:
        """Make the model."""
        self._vector = np.ones(values, dtype=np.float32)

    def hop(self) -> None:
        """Send the model and await the answer."""
        try:
            self._call(BytesValue(value=self._vector.tobytes()), timeout=PATIENCE_SECONDS)
        except grpc.RpcError as error:
            raise DigestError(f"the call failed: {error}") from error

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _channel(meeting: Meeting) -> grpc.Channel:
    if meeting.identities is None:
        return grpc.insecure_channel(meeting.address, options=OPTIONS)
    mine, theirs = meeting.identities
    credentials = grpc.ssl_channel_credentials(
        root_certificates=theirs.certificate,
        private_key=mine.key,
        certificate_chain=mine.certificate,
    )
    options = [*OPTIONS, ("grpc.ssl_target_name_override", name_of(NodeId(1)))]
    return grpc.secure_channel(meeting.address, credentials, options=options)


NAIVE = Way(name="naive", receive=Receiver, send=Sender)
NAIVE_MTLS = Way(name="naive with mTLS", receive=Receiver, send=Sender, secure=True)
