"""Topologies: who is linked with whom. Stands alone, on networkx."""

from flwr_digest.topology.graphs import TOPOLOGIES, build_topology

__all__ = ["TOPOLOGIES", "build_topology"]
