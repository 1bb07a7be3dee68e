"""What operators and synths use: configuration, rules and cost of templates, bundling, doctor and live verification."""
