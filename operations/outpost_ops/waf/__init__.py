"""AWS WAF's decision about a request, for web ACLs as their templates define them."""
