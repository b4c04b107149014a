"""The charge point controller: charging transactions, signed journal, authorisation, forwarding."""
