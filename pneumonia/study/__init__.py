"""What a reader wants to know once: shortcuts, what each step buys, the model card."""
