"""From noise to latents: names, noise levels, noise, the guided denoiser, and one short pure function per sampler.

Everything is written in terms of sigma, the noise's standard deviation while the picture keeps its own scale
(Karras et al. 2022, arXiv 2206.00364), also what was published for other scales: DDIM, PLMS and UniPC become
functions of the same kind (docs/decisions), and one loop, one denoiser and one mask serve them all.
"""
