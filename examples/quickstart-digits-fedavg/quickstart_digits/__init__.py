"""quickstart-digits: a Flower app with PyTorch and the handwritten digits of scikit-learn."""
