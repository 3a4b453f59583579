"""Identity providers and a product to try a running server with: their clients, invented people, a webhook receiver.

It stands apart from the application and speaks with a server over HTTP alone.
"""
