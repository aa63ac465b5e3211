"""The daemon process: composition root, startup, reload, shutdown, systemd integration."""
