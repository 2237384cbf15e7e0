"""The simulator: DIGEST and its rivals on the same data, the same nodes and the same links.

`scenario` says what is simulated, `scenarios` has some by name, and `problem` turns one into data,
nodes and links. `compute` knows how long each local step takes, `network` when messages arrive.
"""
