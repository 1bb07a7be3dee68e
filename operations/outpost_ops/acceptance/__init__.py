"""Proves a deployed environment from outside: through its public address, as a tenant, and as its operator."""
