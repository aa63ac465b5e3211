"""The record: who asked what of which model, and how it ended. Nothing in it is lost."""
