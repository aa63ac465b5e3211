"""The AI Proxy: takes CONNECT, opens TLS for the providers' hosts alone, tunnels the rest."""
