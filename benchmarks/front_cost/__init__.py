"""What a Pareto front costs, on surfaces whose true front is known."""
