"""The links of a company."""

from __future__ import annotations

from flwr_digest.core.ids import Link, link
from tests.support.overlay_session import Company


def links_of(company: Company) -> list[Link]:
    """Return all links of the topology."""
    graph = company.graph
    return sorted({link(one, other) for one in graph for other in graph[one]})


def between(company: Company, nodes: frozenset[int]) -> list[Link]:
    """Return the links between these nodes and the others."""
    return [path for path in links_of(company) if (path.low in nodes) != (path.high in nodes)]
