"""The language between vehicle and station: EXI, V2GTP, SDP, messages, signatures, session machines."""
