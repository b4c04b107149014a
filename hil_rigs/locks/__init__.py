"""Who holds a rig: lock files on one machine, labgrid places between users and machines."""
