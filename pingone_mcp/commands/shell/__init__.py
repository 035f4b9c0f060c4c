"""Commands for a day at the shell: whole tables as files, queries, and the help of both."""
