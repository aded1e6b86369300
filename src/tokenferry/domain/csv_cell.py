"""What a cell of a CSV file may begin with.

Source: OWASP, "CSV Injection", 2026-11.
"""

_DANGEROUS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if cell.startswith(_DANGEROUS) else cell
