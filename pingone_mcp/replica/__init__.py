"""The local copy: one SQLite file per connection, brought up to date by `sync`, read by everybody else."""
