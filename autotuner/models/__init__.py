"""Models: what a model's own files say about it, or what is registered of it. Pure but for reading them."""
