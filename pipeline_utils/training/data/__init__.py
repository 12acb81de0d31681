"""What the model is taught: drawings, looks, scenes and their captions."""
