"""A recipe to a run: how a network is trained, and what a run's folder keeps."""
