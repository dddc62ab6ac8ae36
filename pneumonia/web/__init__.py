"""What both apps share: pages, words, the API, and who may come in."""

import pneumonia.safe_path  # noqa: F401 - first, before what could be mistaken
