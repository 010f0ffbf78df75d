"""Traffic: which requests are sent, how large and when. Pure but for reading datasets."""
