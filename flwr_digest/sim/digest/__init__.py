"""DIGEST in the simulator: the core itself, over simulated links, with the numbers computed later.

When streams hop does not depend on what they carry. So a run is two phases that take turns: the
*schedule* runs the cores with vectors that only note what is to be computed, and the *replay*
computes it, the local steps of many nodes at once.
"""
