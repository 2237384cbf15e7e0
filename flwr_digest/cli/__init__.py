"""The `flwr-digest` command: options in, tables, JSON and charts out.

It holds nothing that a script could not do with `flwr_digest.sim` and `flwr_digest.report`.
"""
