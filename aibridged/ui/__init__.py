"""The web page: what people look at in a browser, made of the answers of the HTTP API."""
