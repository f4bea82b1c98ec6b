"""How the bundled model was made: render → autoencoder → latents → denoiser → export → card.

Not part of the package `pseudoword` and not imported by it. `python -m base_model --help` lists the stages;
`README.md` in this folder tells what each does, how long it takes and what was learned.
"""
