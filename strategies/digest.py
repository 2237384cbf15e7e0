"""`Digest`: in place of `FedAvg`, a broker that no model passes through."""

from __future__ import annotations

import random
import secrets
from collections.abc import Callable, Iterable, Sequence
from logging import ERROR, INFO, WARNING
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MessageType, MetricRecord, RecordDict
from flwr.common.logger import log
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg, Result
from flwr.serverapp.strategy.strategy_utils import (
    sample_nodes,
    validate_message_reply_consistency,
)

from flwr_digest.core.ids import NodeId
from flwr_digest.core.plan import RECORD, Hello, Key, Phase
from flwr_digest.errors import ConfigError
from flwr_digest.strategies.accounting import ServerTraffic, add_up, model_bytes
from flwr_digest.strategies.checks import check_hellos, check_members, check_shards
from flwr_digest.strategies.options import Options
from flwr_digest.strategies.planning import freshest, make_plans
from flwr_digest.strategies.replies import Replies, read_hellos, sort_replies
from flwr_digest.strategies.roster import Roster

REPLY_IN_TIME = 0.9
"""Share of a round's timeout that a session may take: a guess; the rest is for the reply."""


class Digest(FedAvg):
    """DIGEST as a Flower strategy: nodes learn from streams that they pass on among themselves.

    Takes what `FedAvg` takes and is used as `FedAvg` is. It tells the nodes who their neighbors
    are and where streams start; models then go from node to node and never through here, but for
    the initial hand-out and, when `evaluate_fn` or the final `Result.arrays` want it, one copy of
    the model that the streams carry.

    Parameters
    ----------
    *args, **kwargs
        As for `flwr.serverapp.strategy.FedAvg`.
    topology : str, default "small-world"
        "ring", "small-world", "complete" and others, see `flwr_digest.topology`; or "file:PATH".
        Small-world, as in the measurements of DIGEST here: short ways at few links.
    local_steps : int, default 10
        The pace H: how many local steps a tour of a stream takes at least, counted where it ends;
        fewer are fresher, and cost more bytes; 0: as fast as the links allow. 10: measured on
        digits, see the README.
    shards : int, default 1
        Into how many slices the model is cut, each a stream of its own: hops take less time, and
        several are under way at once. 1: DIGEST as published, with one stream.
    regions : int, default 1
        Into how many regions the nodes are divided, each with streams of its own; news passes on
        at the nodes that two regions share. More than 1 needs the same nodes in every session. 1:
        shards give more for the same bytes (measured).
    drift_correction : bool, default False
        Whether streams carry the nodes' gradients, too, so that nodes with different data do not
        drift apart. Off: it doubles the bytes, and needs `attach` and SGD (with momentum, if you
        like) in the train handler.
    walk : str, default "tour"
        How streams choose their way: "tour" visits each node once before any a second time;
        "random" goes to any neighbor; "metropolis" likewise, but visits all nodes equally often. A
        tour: no node waits longer than it must.
    calls_per_round : int, default 1
        How many times in one round a node calls a train handler that does not `attach` its model;
        streams visit between the calls, and each call goes on from the freshest model. 1: as
        `FedAvg`, so that a round costs the same training. In place of 10 rounds make one of 10
        calls: then no node waits for another until the end. A handler that attaches is called once;
        its own loop decides how many local steps a round has.
    steps_per_call : int, default 1
        As how many local steps such a call counts: for the pace, `local_steps`. 1: nobody tells how
        many batches a handler has seen; then `local_steps` counts calls.
    session_seconds : float, optional
        Longest time, in seconds, that a node stays in one round; then it leaves, whatever it still
        waits for. No further call is begun that would end in its last tenth. By default nine tenths
        of `start`'s timeout, so that its reply comes in time.
    insecure : bool, default False
        Plaintext between the nodes. Otherwise mutual TLS with certificates of this round, which
        the nodes make themselves; there is no falling back from one to the other.
    seed : int, default 0
        Decides topology, regions, start nodes and ties of the tours.

    Raises
    ------
    flwr_digest.errors.ConfigError
        An option has a value that is not allowed.

    References
    ----------
    .. [1] Gholami and Seferoglu, "DIGEST: Fast and Communication Efficient Decentralized Learning
       with Local Updates", arXiv 2307.07652.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401 (FedAvg's own, whichever its version has)
        topology: str = "small-world",
        local_steps: int = 10,
        shards: int = 1,
        regions: int = 1,
        drift_correction: bool = False,
        walk: str = "tour",
        calls_per_round: int = 1,
        steps_per_call: int = 1,
        session_seconds: float | None = None,
        insecure: bool = False,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.options = Options(
            topology=topology,
            local_steps=local_steps,
            shards=shards,
            regions=regions,
            drift_correction=drift_correction,
            walk=walk,
            calls_per_round=calls_per_round,
            steps_per_call=steps_per_call,
            session_seconds=session_seconds,
            insecure=insecure,
            seed=seed,
        )
        self.traffic = ServerTraffic()
        self._roster = Roster()
        self._grid: Grid | None = None
        self._timeout_seconds = 3600.0
        self._rounds_that_want_arrays: Callable[[int], bool] = lambda server_round: True
        self._sent: list[Message] = []

    def summary(self) -> None:
        """Log the settings."""
        super().summary()
        options = self.options
        log(INFO, "\t└──> DIGEST: the ServerApp brokers, models go from node to node")
        log(INFO, "\t\t├── Topology: %s (seed %d)", options.topology, options.seed)
        log(INFO, "\t\t├── Pace: %d local steps, walk: %s", options.local_steps, options.walk)
        calls = (options.calls_per_round, options.steps_per_call)
        log(INFO, "\t\t├── Without attach: %d calls a round, each as %d local steps", *calls)
        log(INFO, "\t\t├── Streams: %d shards x %d regions", options.shards, options.regions)
        corrected = "on" if options.drift_correction else "off"
        log(INFO, "\t\t├── Drift correction: %s", corrected)
        if options.insecure:
            log(WARNING, "\t\t└── Links: PLAINTEXT, because of insecure=True")
        else:
            log(INFO, "\t\t└── Links: mutual TLS")

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run `num_rounds` sessions; as `FedAvg.start`, with the same kind of `Result`.

        Raises
        ------
        ConfigError
            The model cannot be cut into so many shards, too few nodes can take part, or they cannot
            be in one session together.
        """
        check_shards(initial_arrays, self.options.shards)
        self._timeout_seconds = timeout
        self._rounds_that_want_arrays = lambda server_round: (
            evaluate_fn is not None or server_round == num_rounds
        )
        return super().start(
            grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )

    # --- training -------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Gather hellos, hand the initial model to nodes that are new, and plan the session."""
        if self.fraction_train == 0.0:
            return []
        self._grid = grid
        wanted = int(len(list(grid.get_node_ids())) * self.fraction_train)
        wanted = max(wanted, self.min_train_nodes)
        node_ids, _ = sample_nodes(grid, self.min_available_nodes, wanted)
        members = self._gather(self._with_keeper(map(NodeId, node_ids), grid), arrays)
        check_hellos(members)
        session = f"{server_round}-{secrets.token_hex(8)}"
        seconds = self.options.session_seconds or self._timeout_seconds * REPLY_IN_TIME
        lives = self._roster.lives
        plans = make_plans(members, self.options, session, seconds, server_round - 1, lives)
        config["server-round"] = server_round
        self._sent = [
            self._message(
                node,
                MessageType.TRAIN,
                {Key.PHASE: Phase.TRAIN, Key.PLAN: plan.to_json()},
                {self.configrecord_key: config},
            )
            for node, plan in plans.items()
        ]
        self._roster.send_off(plans.keys())
        one = plans[next(iter(plans))]
        links = sum(map(len, one.topology.values())) // 2
        shown = (len(plans), links, len(one.streams))
        log(INFO, "configure_train: %d nodes, %d links, %d streams, no model", *shown)
        self._count_training(message.content for message in self._sent)
        return self._sent

    def _with_keeper(self, nodes: Iterable[NodeId], grid: Grid) -> list[NodeId]:
        """Return the nodes, and with them one that keeps the newest copies of the streams.

        Without it, a session of nodes that were not in the last one would start from older copies.
        """
        keepers = self._roster.among(map(NodeId, grid.get_node_ids()))
        chosen = set(nodes)
        if keepers:
            chosen.add(freshest(keepers, self.options.seed))
        return sorted(chosen)

    def _gather(self, nodes: list[NodeId], arrays: ArrayRecord) -> dict[NodeId, Hello]:
        """Return the hellos of the nodes that can take part.

        Raises
        ------
        ConfigError
            Fewer than `min_train_nodes` can, or, with regions, others than before; names those
            that cannot with their reasons.
        """
        fields: dict[Key, str | bool] = {
            Key.PHASE: Phase.HELLO,
            Key.INSECURE: self.options.insecure,
        }
        sent = [
            self._message(node, MessageType.TRAIN, fields, {self.arrayrecord_key: arrays})
            for node in nodes
            if node not in self._roster.ready
        ]
        self.traffic.handout_bytes += sum(model_bytes(message.content) for message in sent)
        hellos, failed = read_hellos(self._ask(sent))
        self._roster.introduce(hellos)
        for node, why in failed.items():
            log(ERROR, "node %d cannot take part: %s", node, why)
        members = self._roster.among(nodes)
        if len(members) < max(self.min_train_nodes, 1):
            reasons = "; ".join(f"node {node}: {why}" for node, why in failed.items())
            raise ConfigError(
                f"only {len(members)} nodes can take part, and min_train_nodes="
                f"{self.min_train_nodes}; {reasons}"
            )
        if self.options.regions > 1 and self._roster.members:
            check_members(self._roster.members, members, failed)
        return members

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Add up the nodes' metrics; fetch the streams' model if someone wants it."""
        sorted_replies = sort_replies(self._sent, replies)
        contents = sorted_replies.content
        self._count_training(contents.values())
        hellos, failed = read_hellos(sorted_replies)
        self._roster.return_from_session(hellos)
        log(INFO, "aggregate_train: %d results, %d failures", len(contents), len(failed))
        for node, why in failed.items():
            log(ERROR, "\t> node %d failed: %s", node, why)
        if not contents:
            return None, None
        report = add_up(contents.items())
        for line in report.warnings():
            log(WARNING, "\t> %s", line)
        arrays = self._collect() if self._rounds_that_want_arrays(server_round) else None
        metrics = self._user_metrics(list(contents.values()))
        metrics.update(report.to_metrics(self.traffic))
        log(
            INFO,
            "\t> model bytes through the ServerApp in training: %d; bytes between nodes: %d",
            self.traffic.training_bytes,
            metrics["digest-bytes-between-nodes"],
        )
        return arrays, metrics

    def _user_metrics(self, contents: list[RecordDict]) -> MetricRecord:
        """Aggregate what the users' handlers reported, as `FedAvg` does."""
        bare = [RecordDict({k: v for k, v in c.items() if k != RECORD}) for c in contents]
        if not any(content.metric_records for content in bare):
            return MetricRecord()
        validate_message_reply_consistency(bare, self.weighted_by_key, check_arrayrecord=False)
        return self.train_metrics_aggr_fn(bare, self.weighted_by_key)

    def _collect(self) -> ArrayRecord | None:
        """Fetch the streams' model, all shards of it, from one node that keeps the newest copies.

        All nodes of a session that has closed keep the same. Of one that was cut off, a node sends
        what it has: copies of different streams are then of different ages.
        """
        keepers = dict(self._roster.ready)
        while keepers:
            node = freshest(keepers, self.options.seed)
            fields: dict[Key, str | bool] = {Key.PHASE: Phase.COLLECT}
            replies = self._ask([self._message(node, MessageType.TRAIN, fields)])
            for content in replies.content.values():
                self.traffic.on_request_bytes += model_bytes(content)
                return content.array_records[self.arrayrecord_key]
            log(
                ERROR, "\t> node %d did not send the streams' model: %s", node, replies.failed[node]
            )
            del keepers[node]
        return None

    # --- evaluation -----------------------------------------------------------------------------

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nodes to evaluate their own freshest models; none is sent."""
        if self.fraction_evaluate == 0.0:
            return []
        nodes = sorted(self._roster.with_model & set(map(NodeId, grid.get_node_ids())))
        wanted = max(int(len(nodes) * self.fraction_evaluate), self.min_evaluate_nodes)
        chosen = random.Random(f"{self.options.seed}-{server_round}").sample(
            nodes, min(wanted, len(nodes))
        )
        log(INFO, "configure_evaluate: %d of %d nodes, no model", len(chosen), len(nodes))
        config["server-round"] = server_round
        messages = [
            self._message(
                node,
                MessageType.EVALUATE,
                {Key.PHASE: Phase.EVALUATE},
                {self.configrecord_key: config},
            )
            for node in sorted(chosen)
        ]
        self._count_training(message.content for message in messages)
        return messages

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate the nodes' metrics as `FedAvg` does."""
        replies = list(replies)
        self._count_training(reply.content for reply in replies if reply.has_content())
        return super().aggregate_evaluate(server_round, replies)

    # --- messages -------------------------------------------------------------------------------

    def _message(
        self,
        node: NodeId,
        message_type: str,
        fields: dict[Key, str | bool],
        records: dict[str, ArrayRecord | ConfigRecord] | None = None,
    ) -> Message:
        """Return a message to a node, with our record that says what it is about."""
        content = RecordDict(dict(records or {}))
        known: dict[str, Any] = {str(key): value for key, value in fields.items()}
        content[RECORD] = ConfigRecord(known | {Key.ARRAYS.value: self.arrayrecord_key})
        return Message(content, message_type=message_type, dst_node_id=node)

    def _ask(self, messages: Sequence[Message]) -> Replies:
        """Send messages that are no part of Flower's own round, and wait for the replies."""
        if not messages or self._grid is None:
            return Replies(content={}, failed={})
        answers = self._grid.send_and_receive(messages, timeout=self._timeout_seconds)
        return sort_replies(messages, answers)

    def _count_training(self, contents: Iterable[RecordDict]) -> None:
        self.traffic.training_bytes += sum(map(model_bytes, contents))
