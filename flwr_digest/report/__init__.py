"""Results for the eye: charts of simulated runs."""
