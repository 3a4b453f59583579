"""What the IdP's writes mean: people, memberships, roles and groups of one organization's directory."""
