"""What a search costs, in GPU-seconds, on surfaces of which the truth is known."""
