"""What happens when more is asked than can be served: make rush."""
