"""Image files: one format inside the workflow, readers for what users have."""
