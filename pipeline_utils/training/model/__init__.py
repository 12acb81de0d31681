"""The parts of the model: latents, denoiser, decoder, text encoder."""
