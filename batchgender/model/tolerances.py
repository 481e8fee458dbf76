"""How far two computations of one model may lie apart, in probability, and what a smaller file may lose."""

# A written file beside PyTorch, photos at the model's size. Runtimes add up in another order.
ONNX = 1e-4
OPENVINO = 1e-4
LITERT = 1e-4
TORCH = 1e-5
# The same with the resize inside: a value halfway between two bytes may be rounded up or down.
WITH_RESIZE = 1e-3
# float16 has three decimal digits, and each layer loses a little of the third.
FLOAT16 = 0.02

# A file beside its own self-check pictures, by precision: another processor rounds 8-bit sums in another way.
SELF_CHECK = {"float32": 1e-3, "float16": 0.01, "int8": 0.06}

# An execution provider beside the CPU: more than 16-bit floats cost a sound model, or 8 bits another rounding.
PROVIDER = 0.02
PROVIDER_INT8 = 0.06

# Points of accuracy on the validation photos that a smaller file may lose.
POINTS_LOST = 0.5
# What `--compress auto` lets a rank cost: points of accuracy, and the mean difference in probability.
RANK_POINTS_LOST = 0.2
RANK_MEAN_DIFFERENCE = 0.01
