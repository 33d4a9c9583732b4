"""Read-only computations over samples: rates, history, queries, columns. No I/O here."""
