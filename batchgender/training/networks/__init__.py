"""The networks by name, and what a model file holds beside one."""
