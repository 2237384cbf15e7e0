"""The bytes through the ServerApp and the figures of the nodes, added up."""

from __future__ import annotations

import json

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from flwr_digest.strategies.accounting import RunReport, ServerTraffic, add_up, model_bytes


def report(**fields: object) -> RecordDict:
    silence = {"seconds": 0.0, "tours": 0.0, "stream": None}
    calm = {"ending": "the session closed", "totals": {}, "unreached": {}, "silence": silence}
    full = {**calm, **fields}
    return RecordDict({"digest": ConfigRecord({"report": json.dumps(full)})})


def test_every_array_of_every_record_is_counted() -> None:
    one = Array(np.zeros(10, dtype=np.float32))
    content = RecordDict(
        {
            "a": ArrayRecord({"x": one, "y": one}),
            "b": ArrayRecord({"x": one}),
            "m": MetricRecord({"loss": 1.0}),
            "c": ConfigRecord({"raw": b"1234"}),
        }
    )
    assert model_bytes(content) == 3 * len(one.data)
    assert len(one.data) >= 40
    assert model_bytes(RecordDict()) == 0


def test_counters_are_added_up_over_the_nodes() -> None:
    round_report = add_up(
        [
            (4, report(totals={"visits": 2, "hops_sent": 1})),
            (6, report(totals={"visits": 3, "reroutes": 5}, ending="its time was up")),
        ]
    )
    assert round_report.totals == {"visits": 5, "hops_sent": 1, "reroutes": 5}
    assert round_report.endings == {"4": "the session closed", "6": "its time was up"}
    assert round_report.unreached == {}


def test_links_that_never_were_are_counted_by_end() -> None:
    round_report = add_up(
        [
            (4, report(unreached={"9": "no answer", "6": "it never dialled"})),
            (6, report(unreached={"4": "no answer"})),
            (9, report()),
        ]
    )
    assert sorted(round_report.unreached) == ["4", "6"]
    assert round_report.to_metrics(ServerTraffic())["digest-broken-links"] == 3


def test_the_metrics_tell_the_traffic_of_nodes_and_server() -> None:
    totals = {
        "payload_bytes_sent": 1000,
        "control_bytes_sent": 24,
        "hops_sent": 3,
        "visits": 5,
        "resends": 1,
        "reroutes": 2,
        "reissues": 4,
        "replacements": 8,
        "stale_drops": 9,
        "forfeited_steps": 6,
        "lost_deposits": 40,
        "unshared_steps": 7,
        "corrections_off": 1,
        "links_lost": 10,
        "links_refused": 20,
        "failed_saves": 30,
    }
    server = ServerTraffic(handout_bytes=7, training_bytes=0, on_request_bytes=8)
    silence = {"seconds": 4.5, "tours": 2.5, "stream": 3}
    metrics = add_up([(4, report(totals=totals, silence=silence))]).to_metrics(server)
    assert dict(metrics) == {
        "digest-bytes-between-nodes": 1024,
        "digest-payload-bytes": 1000,
        "digest-control-bytes": 24,
        "digest-hops": 3,
        "digest-visits": 5,
        "digest-resends": 1,
        "digest-reroutes": 2,
        "digest-reissues": 4,
        "digest-replacements": 8,
        "digest-stale-drops": 9,
        "digest-forfeited-steps": 6,
        "digest-lost-deposits": 40,
        "digest-unshared-steps": 7,
        "digest-corrections-off": 1,
        "digest-links-lost": 10,
        "digest-links-refused": 20,
        "digest-failed-saves": 30,
        "digest-broken-links": 0,
        "digest-faults": 84,
        "digest-longest-silence-seconds": 4.5,
        "digest-longest-silence-tours": 2.5,
        "digest-server-training-bytes": 0,
        "digest-server-handout-bytes": 7,
        "digest-server-on-request-bytes": 8,
    }


def test_what_the_user_should_know_of_is_said() -> None:
    assert add_up([(4, report())]).warnings() == []
    unreached = {"9": "no answer"}
    found = add_up(
        [
            (4, report(totals={"corrections_off": 1}, unreached=unreached)),
            (6, report(totals={"corrections_off": 1}, unreached=unreached)),
        ]
    )
    assert found.warnings() == [
        "drift correction kept growing at 2 nodes and is off there: a smaller learning rate "
        "may help",
        "node 9 was never linked with its neighbors: node 4: no answer; node 6: no answer",
    ]


# --- faults -------------------------------------------------------------------------------------


def silence(seconds: float, tours: float, stream: int | None = 0) -> dict[str, float | int | None]:
    return {"seconds": seconds, "tours": tours, "stream": stream}


def test_a_calm_round_says_so_in_one_line() -> None:
    calm = add_up([(4, report()), (6, report(silence=silence(0.4, 1.2)))])
    assert calm.calm
    assert calm.summary() == (
        "no faults; longest silence of a stream 0.4 s (1.2 tours) at node 6, stream 0"
    )
    assert add_up([(4, report())]).summary() == "no faults; longest silence of a stream 0.0 s"


def test_the_longest_silence_is_a_maximum_and_faults_are_sums() -> None:
    found = add_up(
        [
            (4, report(totals={"resends": 2, "visits": 7}, silence=silence(3.0, 9.0, 1))),
            (6, report(totals={"resends": 1, "reissues": 1}, silence=silence(5.0, 2.0, 2))),
        ],
        forfeited_steps=8,
    )
    assert not found.calm
    assert found.summary() == (
        "faults: hops sent again 3, streams re-issued 1; steps forfeited: 8; "
        "longest silence of a stream 5.0 s (9.0 tours) at node 6, stream 2"
    )
    assert found.to_metrics(ServerTraffic())["digest-forfeited-steps"] == 8


def test_steps_that_were_given_up_are_said_without_any_fault() -> None:
    assert "faults: none; steps forfeited: 8" in add_up([], forfeited_steps=8).summary()


def test_replies_that_did_not_come_are_faults() -> None:
    silent = add_up([(4, report())], lost_replies=2)
    assert silent.summary().startswith("faults: replies that did not come 2; ")
    assert not silent.calm


def test_rounds_add_up_to_the_run() -> None:
    first = add_up([(4, report(totals={"resends": 2}, silence=silence(3.0, 9.0, 1)))])
    second = add_up([(6, report(totals={"reroutes": 1}, silence=silence(1.0, 1.0)))])
    for rounds in ([first, second], [second, first]):
        run = RunReport()
        for each in rounds:
            run.add(each)
        assert run.rounds is not None
        assert run.rounds.totals == {"reroutes": 1, "resends": 2}
        found = run.rounds.silence
        assert (found.seconds, found.tours, run.rounds.silent_at) == (3.0, 9.0, "4")
