"""`Digest`: in place of `FedAvg`, a broker that no model passes through."""

from __future__ import annotations

import inspect
import random
import secrets
from collections.abc import Callable, Iterable, Mapping
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
from flwr_digest.strategies.accounting import RoundReport, RunReport, ServerTraffic, add_up
from flwr_digest.strategies.checks import check_shards
from flwr_digest.strategies.collecting import collect
from flwr_digest.strategies.desk import Desk
from flwr_digest.strategies.epochs import Epoch, last_session, line_about, next_epoch
from flwr_digest.strategies.gathering import gather
from flwr_digest.strategies.options import Options, check_known
from flwr_digest.strategies.planning import freshest, make_plans
from flwr_digest.strategies.replies import Replies, read_hellos, sort_replies
from flwr_digest.strategies.roster import Roster
from flwr_digest.strategies.summary import lines_of
from flwr_digest.strategies.weights import UNIFORM

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
        at the nodes that two regions share. When nodes come or go, regions are drawn anew; where
        that finds nodes with different models, one round has one region, which makes them the
        same. 1: shards give more for the same bytes (measured).
    drift_correction : bool, default False
        Whether streams carry the nodes' gradients, too, so that nodes with different data do not
        drift apart. Off: it takes a quarter more bytes, and needs `attach` in the train handler,
        with one of the optimizers that it was measured with, or a `digest_session`.
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
    steps_per_round : int, optional
        How many local steps a client that is written from scratch, with `digest_session`, makes in
        one round. By default as many as it says itself.
    weighting : str, default "uniform"
        By what a node's local steps count: "uniform", all nodes alike, or "examples", by its share
        of all training examples, as under `FedAvg`. The shares are needed before the first step,
        so nodes are asked with `hello`: their ClientApps need ``mods=[DigestMod(examples=...)]``;
        a node that cannot tell, or has none, is named and left out. A step counts with the weight
        of the session that it was made in, also where a stream takes it up in a later one.
        Uniform: as in DIGEST as published.
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
        steps_per_round: int | None = None,
        weighting: str = UNIFORM,
        session_seconds: float | None = None,
        insecure: bool = False,
        seed: int = 0,
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        check_known(kwargs, _options_of(FedAvg) + _options_of(Digest))
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
            steps_per_round=steps_per_round,
            weighting=weighting,
            session_seconds=session_seconds,
            insecure=insecure,
            seed=seed,
        )
        self._desk = Desk(arrays_key=self.arrayrecord_key)
        self._roster = Roster()
        self._rounds_that_want_arrays: Callable[[int], bool] = lambda server_round: True
        self._sent: list[Message] = []  # the messages of this half of the round
        self._run = RunReport()

    @property
    def traffic(self) -> ServerTraffic:
        """Model bytes that have passed through the ServerApp."""
        return self._desk.traffic

    def summary(self) -> None:
        """Log the settings."""
        super().summary()
        log(INFO, "\t└──> DIGEST: the ServerApp brokers, models go from node to node")
        for line in lines_of(self.options):
            log(INFO, "\t\t├── %s", line)
        if self.options.insecure:
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
        self._desk.timeout_seconds = timeout
        self._rounds_that_want_arrays = lambda server_round: (
            evaluate_fn is not None or server_round == num_rounds
        )
        self._run = RunReport()
        result = super().start(
            grid, initial_arrays, num_rounds, timeout, train_config, evaluate_config, evaluate_fn
        )
        if self._run.rounds is not None:
            _log_faults("the whole run", self._run.rounds)
        return result

    # --- training -------------------------------------------------------------------------------

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Gather hellos, hand the initial model to nodes that are new, and plan the session."""
        self._sent = []
        if self.fraction_train == 0.0:
            return []
        self._desk.grid = grid
        wanted = int(len(list(grid.get_node_ids())) * self.fraction_train)
        wanted = max(wanted, self.min_train_nodes)
        node_ids, _ = sample_nodes(grid, self.min_available_nodes, wanted)
        chosen = self._with_keeper(map(NodeId, node_ids), grid)
        members = gather(
            self._desk, self._roster, chosen, arrays, self.options, least=self.min_train_nodes
        )
        session = f"{server_round}-{secrets.token_hex(8)}"
        seconds = self.options.session_seconds or self._desk.timeout_seconds * REPLY_IN_TIME
        epoch = self._epoch_with(members)
        plans = make_plans(
            members, self.options, session, seconds, server_round - 1, self._roster.lives, epoch
        )
        config["server-round"] = server_round
        self._sent = [
            self._desk.message(
                node,
                {
                    Key.PHASE: Phase.TRAIN,
                    Key.PLAN: plan.to_json(),
                    Key.COUNT: self.options.counts_examples,
                },
                {self.configrecord_key: config},
            )
            for node, plan in plans.items()
        ]
        one = plans[next(iter(plans))]
        self._roster.send_off(last_session(epoch, members, one.streams, self._roster.last))
        links = sum(map(len, one.topology.values())) // 2
        shown = (len(plans), links, len(one.streams))
        log(INFO, "configure_train: %d nodes, %d links, %d streams, no model", *shown)
        self._desk.count_training(message.content for message in self._sent)
        return self._sent

    def _epoch_with(self, members: Mapping[NodeId, Hello]) -> Epoch:
        """Decide how the streams are cut for these nodes, and say so where that is new."""
        roster = self._roster
        options = self.options
        epoch = next_epoch(members, options.regions, roster.last, roster.absent, options.seed)
        if epoch.cut_anew:
            log(WARNING, "%s", line_about(epoch, len(members)))
        return epoch

    def _with_keeper(self, nodes: Iterable[NodeId], grid: Grid) -> list[NodeId]:
        """Return the nodes, and with them one that keeps the newest copies of the streams.

        Without it, a session of nodes that were not in the last one would start from older copies.
        """
        keepers = self._roster.among(map(NodeId, grid.get_node_ids()))
        chosen = set(nodes)
        if keepers:
            chosen.add(freshest(keepers, self.options.seed))
        return sorted(chosen)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Add up the nodes' metrics; fetch the streams' model if someone wants it."""
        answered = self._answered(replies)
        hellos, failed = read_hellos(answered)
        _log_failures("aggregate_train", len(hellos), failed)
        self._roster.return_from_session(hellos)
        contents = {node: answered.content[node] for node in hellos}
        epoch = None if self._roster.last is None else self._roster.last.epoch
        given_up = 0 if epoch is None else epoch.forfeited_steps
        report = add_up(contents.items(), lost_replies=len(failed), forfeited_steps=given_up)
        self._run.add(report)
        _log_faults(f"round {server_round}", report)
        if not contents:
            return None, None
        for line in report.warnings():
            log(WARNING, "\t> %s", line)
        arrays = None
        if self._rounds_that_want_arrays(server_round):
            arrays = collect(self._desk, self._roster, self.options.seed)
        metrics = self._user_metrics(list(contents.values()))
        metrics.update(report.to_metrics(self.traffic))
        metrics["digest-epoch"] = 0 if epoch is None else epoch.number
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

    # --- evaluation -----------------------------------------------------------------------------

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Ask nodes to evaluate their own freshest models; none is sent."""
        self._sent = []
        if self.fraction_evaluate == 0.0:
            return []
        nodes = sorted(self._roster.with_model & set(map(NodeId, grid.get_node_ids())))
        wanted = max(int(len(nodes) * self.fraction_evaluate), self.min_evaluate_nodes)
        chosen = random.Random(f"{self.options.seed}-{server_round}").sample(
            nodes, min(wanted, len(nodes))
        )
        log(INFO, "configure_evaluate: %d of %d nodes, no model", len(chosen), len(nodes))
        config["server-round"] = server_round
        self._sent = [
            self._desk.message(
                node,
                {Key.PHASE: Phase.EVALUATE},
                {self.configrecord_key: config},
                message_type=MessageType.EVALUATE,
            )
            for node in sorted(chosen)
        ]
        self._desk.count_training(message.content for message in self._sent)
        return self._sent

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate the nodes' metrics as `FedAvg` does."""
        answered = self._answered(replies)
        contents = list(answered.content.values())
        _log_failures("aggregate_evaluate", len(contents), answered.failed)
        if not contents:
            return None
        validate_message_reply_consistency(contents, self.weighted_by_key, check_arrayrecord=False)
        return self.evaluate_metrics_aggr_fn(contents, self.weighted_by_key)

    def _answered(self, replies: Iterable[Message]) -> Replies:
        """Return who answered the messages of this half of the round."""
        answered = sort_replies(self._sent, replies)
        self._desk.count_training(answered.content.values())
        return answered


def _log_failures(what: str, results: int, failed: Mapping[NodeId, str]) -> None:
    log(INFO, "%s: %d results, %d failures", what, results, len(failed))
    for node, why in failed.items():
        log(ERROR, "\t> node %d failed: %s", node, why)


def _log_faults(when: str, report: RoundReport) -> None:
    """Sum up faults in one line, also where there were none."""
    log(INFO if report.calm else WARNING, "\t> %s: %s", when, report.summary())


def _options_of(strategy: type) -> list[str]:
    """Return the names of a strategy's own options."""
    parameters = inspect.signature(strategy).parameters.values()
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
