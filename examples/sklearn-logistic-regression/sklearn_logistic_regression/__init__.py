"""sklearn-logistic-regression: a Flower app with scikit-learn and its handwritten digits."""
