"""Finds secrets in text: values that are known, in any escaped or encoded form, and texts in the format of a secret."""
