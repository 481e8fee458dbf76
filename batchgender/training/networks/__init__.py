"""The networks by name, and the module that a model file holds.

For others: `registry.build`, `deployed.Deployed`.
"""
