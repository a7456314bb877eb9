"""The facts: compatibility matrix and models, compiled into one read-only SQLite file."""
