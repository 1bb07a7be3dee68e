"""What an environment costs: a dated price table and the estimate from the templates."""
