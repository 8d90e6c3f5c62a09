"""CSV files: columns by the names in each file's header, rows by their number of fields, quotes as they are written."""
