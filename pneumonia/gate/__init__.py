"""Which pictures a bundle refuses: the fit of what `serving.gate` asks."""
