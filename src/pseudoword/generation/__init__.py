"""Pictures from prompts, as generators of events; infotext, grids and saving plans."""
