"""What the integration tests stand on: a real gateway process, scripted providers, raw clients."""
