"""Models as Hugging Face publishes them: a folder with config.json and model.safetensors, read and written.

A model's own file (gpt.py, bert.py, …) has the table of its weights, ours beside theirs, and its settings; folder.py
reads and writes by such a table. Use it as `GPT.from_pretrained(folder)` and `model.save_pretrained(folder)`.
"""

from minilm.models.huggingface.folder import load, save

__all__ = ["load", "save"]
