"""Flower strategies: `Digest` brokers a serverless run where `FedAvg` would serve it."""

from flwr_digest.strategies.digest import Digest

__all__ = ["Digest"]

if __name__ != "flwr_digest.strategies":  # a second copy of every class would compare unequal
    raise ImportError(f"import this package as flwr_digest.strategies, not as {__name__}")
