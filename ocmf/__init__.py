"""The signed meter record (OCMF): payload, container, verification, key history."""
