"""What both apps share: pages, words, the API, and who may come in."""
