"""The suite that every benchmark is built on: rows, tables, charts, costs, processes and one command line."""
