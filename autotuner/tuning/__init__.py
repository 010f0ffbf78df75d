"""All that touches Ray, and the pure decisions behind it. Import its modules directly: Ray is slow to load."""
