"""The bytes of a file to upright grey pixels, or the reason why not."""
