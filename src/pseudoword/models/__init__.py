"""Turns files into a base model behind small protocols; beside extractors, the only room that knows diffusers."""
