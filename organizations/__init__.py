"""Customers of the product: organizations, their members and roles, and every credential that acts for them."""
