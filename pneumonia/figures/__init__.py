"""How good answers are, in NumPy alone: the only figures, for the apps, too."""
