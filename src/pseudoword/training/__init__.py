"""Teaches a frozen model a word: pictures, captions, latents, objective, state, loop, run directory."""
