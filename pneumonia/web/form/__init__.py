"""The classic form and the JSON API, by Flask."""
