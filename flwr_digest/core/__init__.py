"""The DIGEST protocol as pure rules: events and `now` go in, effects come out.

Nothing in here knows a clock, a socket, a thread or a random generator. The overlay (and any
simulator) drives one `Node` per participant and carries out the effects that it returns, so what
is proven about the core holds for everything that drives it.

Reading order: `ids`, `stream`, `account` (the accounting rule), `walk`, `messages`, `events`,
`effects`, `state`, `station` (one stream at one node) and its parts `kept`, `visits`, `holding`,
`departure`, `search` and `ending`, then `node`, `epoch`, `faults`, `invariants`.
"""
