"""Training runs that resume: text, denoiser, decoder."""
