"""OPCP v1 (Open Plug & Charge Protocol 1.0.0): its routes, bodies, error texts and aliases over the pools."""
