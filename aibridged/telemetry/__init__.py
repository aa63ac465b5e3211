"""Relay of the telemetry that agents send, to OTLP receivers."""
