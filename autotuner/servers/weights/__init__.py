"""Weights: what is fetched of a hub, once a node."""
