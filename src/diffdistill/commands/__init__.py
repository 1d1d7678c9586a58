"""What a user types: `diffdistill init`, `diffdistill run` and `diffdistill stage`."""
