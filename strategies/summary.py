"""What the log says at the start of a run."""

from __future__ import annotations

from flwr_digest.strategies.options import Options


def lines_of(options: Options) -> list[str]:
    """Return the options in lines for the log, but for the links' security, which comes last."""
    steps = options.steps_per_round or "as many as the client makes"
    return [
        f"Topology: {options.topology} (seed {options.seed})",
        f"Pace: {options.local_steps} local steps, walk: {options.walk}",
        f"A round: at most {options.calls_per_round} calls of a handler, each as "
        f"{options.steps_per_call} local steps, or what it does after attach(); with "
        f"digest_session local steps: {steps}",
        f"Weights of the nodes: {options.weighting}",
        f"Streams: {options.shards} shards x {options.regions} regions",
        f"Drift correction: {'on' if options.drift_correction else 'off'}",
    ]
