"""What DIGEST is compared with: each method as published, one module each, over shared parts.

All get the same data, minibatches, step times and links. Each is given its best: whoever must wait
waits only for whom the method needs (local barriers), links never lose a message for good, and a
node that was away comes back with its state. So a comparison errs on the rivals' side.

Where the nodes' weights differ, methods that know no weights minimize the weighted loss by scaling
each node's gradient with N times its weight.
"""
