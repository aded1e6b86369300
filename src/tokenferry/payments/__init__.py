"""Payment providers: one small adapter each, over the port in `engine.payments`."""
