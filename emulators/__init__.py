"""Emulators of the payment providers' documented APIs: for tests, and to try payments out."""
