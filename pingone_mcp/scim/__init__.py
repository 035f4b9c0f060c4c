"""Reading the list of users of any SCIM 2.0 server (RFC 7643, RFC 7644, RFC 9865), and saying whether it is whole."""
