"""What only a CUDA GPU can show: the promise, the speed and the visitors, in parts that can be resumed."""
