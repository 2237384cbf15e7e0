"""The mod that makes a ClientApp part of DIGEST runs.

The broker's messages carry a ConfigRecord ``digest``; the mod deals with these and hands the user's
handlers exactly what they would get from FedAvg: arrays in, metrics out. Messages without that
record pass through untouched. Needs no torch, unless the train handler attaches a model.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from operator import index

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.clientapp.typing import ClientAppCallable

from flwr_digest.clients.calls import CalledTraining, train_in_session
from flwr_digest.clients.endpoint import endpoint_of
from flwr_digest.clients.participation import Participation
from flwr_digest.clients.record import NodeRecord, first_record, to_arrays
from flwr_digest.clients.saving import save_share_of
from flwr_digest.clients.sessions import contents_in, cut_of, states_for, streams_model
from flwr_digest.clients.simulation import lift_node_limit, slots
from flwr_digest.clients.store import NodeStore
from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import RECORD, Hello, Key, Phase, Plan
from flwr_digest.errors import ConfigError, StateError
from flwr_digest.overlay.identity import new_identity
from flwr_digest.overlay.listen import check_free
from flwr_digest.overlay.session import SessionReport

LOGGER = logging.getLogger("flwr.digest")

MISSED_BY_OLD_API = ("fitins.parameters", "evaluateins.parameters")
"""What Flower looks for in a message on behalf of a `client_fn` (flwr 1.41)."""

lift_node_limit()


@dataclass(frozen=True, kw_only=True)
class DigestMod:
    """Takes part in DIGEST runs; leaves all other messages to the app. A Flower mod.

    Parameters
    ----------
    examples : callable, optional
        Says how many training examples this node has, 1 or more, from the handler's context; for
        ``Digest(weighting="examples")``, and called in such a run only: before each session, so
        the number may change between two. Be quick: count, and do not load what can be counted.

    Examples
    --------
    >>> from flwr.clientapp import ClientApp
    >>> from flwr_digest.clients import DigestMod
    >>>
    >>> app = ClientApp(mods=[DigestMod(examples=lambda context: 360)])
    """

    examples: Callable[[Context], int] | None = None

    def __call__(self, message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        """Deal with a message.

        Raises
        ------
        flwr_digest.errors.DigestError
            This node cannot take part; the text, one line, reaches the ServerApp as the error
            reply.
        """
        record = message.content.config_records.get(RECORD)
        if record is None:
            return call_next(message, context)
        store = NodeStore(context.run_id, context.node_id)
        match Phase(str(record[Key.PHASE])):
            case Phase.HELLO:
                return _hello(message, context, record, store, self._count(record, context))
            case Phase.TRAIN:
                # Counted before the training: should it fail, nothing that was trained is lost.
                count = self._count(record, context)
                return _train(message, context, call_next, record, store, count)
            case Phase.EVALUATE:
                return _evaluate(message, context, call_next, record, store)
            case Phase.COLLECT:
                return _collect(message, record, store)

    def _count(self, record: ConfigRecord, context: Context) -> int | None:
        """Return how many examples there are; None where nobody asks, or nobody knows."""
        if self.examples is None or not record.get(Key.COUNT, False):
            return None
        count = self.examples(context)
        try:
            return index(count)
        except TypeError as error:
            raise ConfigError(
                f"DigestMod(examples=...) returned {count!r}: it must return how many training "
                "examples this node has, a whole number, 1 or more"
            ) from error


digest_mod = DigestMod()
"""The mod, for runs in which all nodes count alike."""


def _hello(
    message: Message,
    context: Context,
    record: ConfigRecord,
    store: NodeStore,
    examples: int | None,
) -> Message:
    """Introduce this node; take the initial model, unless there is a memory of this run."""
    memory = _load_or_none(store)
    if memory is None:
        arrays = message.content.array_records[str(record[Key.ARRAYS])]
        memory = first_record(arrays, life=new_life())
        store.save(memory)
    insecure = bool(record[Key.INSECURE])
    hello = _introduce(context, memory, store, insecure=insecure, examples=examples)
    return _reply(message, {Key.HELLO: hello.to_json()})


def _load_or_none(store: NodeStore) -> NodeRecord | None:
    """Return the memory; a torn one counts as none, and is said aloud and kept aside."""
    try:
        return store.load()
    except StateError as error:
        LOGGER.error("%s", error)
        return None


def _introduce(
    context: Context,
    memory: NodeRecord,
    store: NodeStore,
    *,
    insecure: bool,
    examples: int | None,
) -> Hello:
    """Return this node's hello for its next session, with a fresh identity."""
    endpoint = endpoint_of(context)
    check_free(endpoint.listen)
    certificate = ""
    if not insecure:
        identity = new_identity(NodeId(context.node_id))
        store.save_identity(identity)
        certificate = identity.certificate.decode()
    return Hello(
        address=endpoint.advertise,
        certificate=certificate,
        kept={stream: state.kept.order for stream, state in memory.states.items()},
        generation=max((s.highest.generation for s in memory.states.values()), default=0),
        life=memory.life if store.exact else 0,
        slots=slots(),
        examples=examples,
        epoch=memory.epoch,
        contents=contents_in(memory),
    )


def _train(
    message: Message,
    context: Context,
    call_next: ClientAppCallable,
    record: ConfigRecord,
    store: NodeStore,
    examples: int | None,
) -> Message:
    """Take part in a session while the user's handler trains."""
    plan = Plan.from_json(str(record[Key.PLAN]))
    identity = None if plan.insecure else store.load_identity()
    listen = endpoint_of(context).listen
    me = NodeId(context.node_id)
    share = save_share_of(context)
    recalled = store.recall(new_life())
    states = states_for(recalled, plan, me)
    memory = replace(recalled, cut=cut_of(plan), epoch=plan.epoch)
    participation = Participation(
        node_id=me,
        plan=plan,
        record=memory,
        states=states,
        keeper=store.keeper(memory, share),
        identity=identity,
        listen=listen,
    )
    training = CalledTraining(
        plan=plan,
        record=memory,
        call=lambda arrays: _handled(_with_arrays(message, record, arrays), context, call_next),
        key=str(record[Key.ARRAYS]),
    )
    try:
        with participation:
            answer = train_in_session(participation, training)
            participation.finish()
    finally:
        memory = _saved(participation, store)
    if answer.has_error() or participation.report is None:
        return answer
    hello = _introduce(context, memory, store, insecure=plan.insecure, examples=examples)
    report = _report_to_json(participation.report)
    return _reply(message, {Key.HELLO: hello.to_json(), Key.REPORT: report}, answer)


def _saved(participation: Participation, store: NodeStore) -> NodeRecord:
    """Save what a session has made of this node; return what it will remember."""
    try:
        store.save(participation.record)
    except StateError as error:  # a full disk, say: what was trained is not lost to the others
        LOGGER.warning("%s; training goes on, with what was saved during the session", error)
        participation.keep()
        return _load_or_none(store) or participation.record
    return participation.record


def _evaluate(
    message: Message,
    context: Context,
    call_next: ClientAppCallable,
    record: ConfigRecord,
    store: NodeStore,
) -> Message:
    """Let the user's handler evaluate this node's own freshest model."""
    memory = _memory(store)
    given = _with_arrays(message, record, to_arrays(memory, memory.model))
    return _handled(given, context, call_next)


def _handled(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """Return the reply of the user's handler.

    Raises
    ------
    ConfigError
        There is none, but a `client_fn`.
    """
    try:
        return call_next(message, context)
    except KeyError as error:
        if error.args and error.args[0] in MISSED_BY_OLD_API:
            raise ConfigError(
                "this ClientApp has a client_fn, of Flower's old API, which no strategy of "
                "flwr.serverapp can talk to: give it handlers, with @app.train() and "
                "@app.evaluate()"
            ) from error
        raise


def _collect(message: Message, record: ConfigRecord, store: NodeStore) -> Message:
    """Send the model that the streams' last copies here make together."""
    memory = _memory(store)
    arrays = to_arrays(memory, streams_model(memory))
    content = RecordDict(
        {str(record[Key.ARRAYS]): arrays, RECORD: ConfigRecord({Key.PHASE.value: Phase.COLLECT})}
    )
    return Message(content, reply_to=message)


def new_life() -> int:
    """Return a number for a new account, above all that this node has used: the Unix time."""
    return int(time.time())


def _memory(store: NodeStore) -> NodeRecord:
    memory = store.load()
    if memory is None:
        raise StateError(f"this node has no model of this run yet (looked in {store.folder})")
    return memory


def _with_arrays(message: Message, record: ConfigRecord, arrays: ArrayRecord) -> Message:
    """Return the message as FedAvg would have sent it: with the model, without our record.

    It is a copy, so that a handler that changes what it gets is called with the same once more.
    """
    given = deepcopy(message)
    del given.content[RECORD]
    given.content[str(record[Key.ARRAYS])] = arrays
    return given


def _reply(message: Message, fields: dict[Key, str], answer: Message | None = None) -> Message:
    """Return a reply with our record, and with what the user's handler said but for arrays."""
    content = RecordDict()
    if answer is not None:
        for name, value in answer.content.items():
            if not isinstance(value, ArrayRecord):
                content[name] = value
    content[RECORD] = ConfigRecord({str(key): value for key, value in fields.items()})
    return Message(content, reply_to=message)


def _report_to_json(report: SessionReport) -> str:
    return json.dumps(
        {
            "ending": report.ending,
            "seconds": report.seconds,
            "totals": report.totals(),
            "traffic": {str(peer): asdict(traffic) for peer, traffic in report.traffic.items()},
            "unreached": {str(peer): why for peer, why in report.unreached.items()},
            "silence": asdict(report.silence),
        }
    )
