"""Pure reports about a directory: drift, access reviews, role rules, rosters, exports."""
