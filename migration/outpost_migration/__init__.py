"""From v1 to v2, step by step: each step idempotent, resumable, with a dry run and a report."""
