"""Reads an account before a deploy, and reports what stands in the way."""
