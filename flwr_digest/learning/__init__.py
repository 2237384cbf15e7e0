"""The user's model as one flat vector, shared between the training loop and the overlay.

The only place that imports torch.
"""
