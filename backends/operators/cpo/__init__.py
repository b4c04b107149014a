"""The charge point operator: the end of OCPP, transactions, charge details, remote control."""
