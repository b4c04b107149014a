"""From a rig file to running parts: plant, lines and meters, signer, backends, gateway."""
