"""What a user types: `diffdistill init` and `diffdistill run`."""
