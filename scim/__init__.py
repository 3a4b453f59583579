"""The SCIM protocol over our tables (RFC 7643, RFC 7644), without a web framework."""
