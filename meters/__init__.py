"""Read meters: serial line, strict RTU master, Modbus TCP; models as YAML; simulated meters."""
