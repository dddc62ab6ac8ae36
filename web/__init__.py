"""Who may come in: what both apps do about limits, passwords, uploads, headers."""
