"""Figures and plots about what was learned: features, metrics over lists of pictures, curves."""
