"""What every facade of the pools shares: authentication, rights, strict JSON, limits, error bodies.

A facade is a folder beside this one that turns a protocol's names into calls of `backends.pools`: `backends.opcp` is
the Open Plug & Charge Protocol; another one (OPNC) brings its own routes, error texts and event names and nothing else.
"""
