"""Which schema sets there are, where their root XSD lies, and which package of `generated/` holds a namespace."""

from __future__ import annotations

from typing import NamedTuple

XMLDSIG = "http://www.w3.org/2000/09/xmldsig#"
COMMON_TYPES = "urn:iso:std:iso:15118:-20:CommonTypes"
# namespaces that several sets import; their types are generated once, in a package of their own
SHARED_HOMES = {XMLDSIG: "xmldsig", COMMON_TYPES: "iso20_common_types"}


class SchemaSet(NamedTuple):
    """name: of the generated package and in the API. root: the XSD that pulls in all others."""

    name: str
    root: str


SETS = (
    SchemaSet("xmldsig", "xmldsig-core-schema.xsd"),
    SchemaSet("sap", "V2G_CI_AppProtocol.xsd"),
    SchemaSet("din", "din_spec/V2G_CI_MsgDef.xsd"),
    SchemaSet("iso2", "iso15118_2/V2G_CI_MsgDef.xsd"),
    SchemaSet("iso20_common", "iso15118_20/V2G_CI_CommonMessages.xsd"),
    SchemaSet("iso20_ac", "iso15118_20/V2G_CI_AC.xsd"),
    SchemaSet("iso20_dc", "iso15118_20/V2G_CI_DC.xsd"),
    SchemaSet("iso20_acdp", "iso15118_20/V2G_CI_ACDP.xsd"),
    SchemaSet("iso20_wpt", "iso15118_20/V2G_CI_WPT.xsd"),
)
