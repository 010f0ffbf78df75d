"""A trial's life on its node: launch, rungs, end. Knows no Ray."""
