"""Fixtures of these tests."""

from tests.support.flower_fixtures import as_server, digest_home, sockets

__all__ = ["as_server", "digest_home", "sockets"]
