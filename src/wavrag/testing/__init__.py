"""Conformance kits, one for each interface: subclass a kit, give its fixture, inherit its tests.

Needs pytest. The fakes live beside the real ones: `wavrag.embed.FakeEmbedder`,
`wavrag.store.MemoryStore`, `wavrag.generate.FakeGenerator`.
"""
