"""Autotuner: finds, by real measurement, the LLM-serving configuration that meets your SLOs."""
