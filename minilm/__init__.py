"""minilm: how language models are pretrained, every part built from scratch in NumPy."""

__version__ = "0.1.0"
