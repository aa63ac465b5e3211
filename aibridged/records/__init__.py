"""The record: who asked which model what, and how it ended. Nothing in it is lost."""
