"""The mobility operator: contracts, customers, authorisation, checked charge details, bills, an app."""
