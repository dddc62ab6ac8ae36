"""A run to a bundle: the graph, with fewer channels, in int8."""
