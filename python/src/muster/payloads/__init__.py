"""Payloads and results: from bytes to the type of an annotation, and back."""
