"""The AI Proxy: a forward proxy (CONNECT) with MITM for the providers' hosts only."""
