"""Adapters to other frameworks: one module each, over the public names of `wavrag`.

Import the module of a framework (`wavrag.integrations.mcp`); each has an extra of its own.
"""
