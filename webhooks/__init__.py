"""How the product learns of changes: events, and their delivery to webhook endpoints."""
