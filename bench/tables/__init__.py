"""One module a table: run(context) measures and returns it."""
