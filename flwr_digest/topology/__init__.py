"""Topologies: who is linked with whom. Stands alone, on networkx and numpy."""

from flwr_digest.topology.graphs import TOPOLOGIES, build_topology, check_topology_name
from flwr_digest.topology.mixing import metropolis_weights, spectral_gap
from flwr_digest.topology.regions import check_regions, gateways, split_into_regions
from flwr_digest.topology.starts import start_nodes

__all__ = [
    "TOPOLOGIES",
    "build_topology",
    "check_regions",
    "check_topology_name",
    "gateways",
    "metropolis_weights",
    "spectral_gap",
    "split_into_regions",
    "start_nodes",
]
