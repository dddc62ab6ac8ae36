"""What both apps share: pages, words, and who may come in."""
