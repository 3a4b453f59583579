"""An identity provider and a product to try a running server with: Okta's client, invented people, a webhook receiver.

It stands apart from the application and speaks with a server over HTTP alone.
"""
