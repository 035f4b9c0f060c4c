"""SQL that an assistant writes, answered in processes of their own."""
