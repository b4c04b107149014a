"""EXI as the V2G standards use it: codec generated from the schemas, and its run time.

`codec` encodes and decodes messages and fragments, `json_form` shows them as JSON, the message classes are in
`generated/<schema set>/types.py`, `generator` makes them (and the functions beside them) from the XSDs.
"""
