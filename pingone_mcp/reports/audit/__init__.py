"""An access review as a file that people sign: its rows, its cover, and how it looks as a page and as a workbook."""
