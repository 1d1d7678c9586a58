"""What every stage needs from the machine: files, seeds, clock, device, command line."""
