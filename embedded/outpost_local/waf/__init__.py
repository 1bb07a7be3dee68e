"""AWS WAF's decision about a request, as the embedded AWS and tests make it for web ACLs of templates."""
