"""The engine: Tensors, operations with their gradients beneath, and the check that they are right."""
