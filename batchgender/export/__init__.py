"""Exports: ONNX, TorchScript and torch.export, checked against the network."""
