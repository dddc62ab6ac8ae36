"""A run to a bundle: int8, and which pictures the bundle refuses."""
