"""The thin client that runs in the load driver's worker processes: few and light imports."""
