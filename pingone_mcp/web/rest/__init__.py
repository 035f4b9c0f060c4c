"""The REST API: what each route takes and answers stands as data beside it, and is held to."""
