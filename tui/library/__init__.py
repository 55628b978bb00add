"""``firstlight library …``: one module for each group of its commands."""
