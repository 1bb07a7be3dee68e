"""The MCP server: the REST API's operations as tools, over HTTP inside the service and over stdio beside a client."""
