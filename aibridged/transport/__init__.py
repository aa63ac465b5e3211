"""HTTP transport of the reverse proxy: server, upstream client with connection pools, relay."""
