"""The model proxy: the provider's API on loopback, for an agent that has no key of its own."""
