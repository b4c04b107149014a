"""CKA_EC_POINT, wrapped and bare."""

import pytest

from hsm.errors import Remedy, TokenError
from hsm.token_keys import ec_params, public_key_of
from ocmf.curves import CURVES


@pytest.mark.parametrize("curve", [curve.name for curve in CURVES.values() if curve.in_table])
def test_wrapped_and_bare_points_are_the_same_key(prepared, curve):
    key = prepared.keys[curve]
    wrapped = bytes([0x04, len(key.point)]) + key.point
    assert public_key_of(ec_params(key.curve), wrapped) == key
    assert public_key_of(ec_params(key.curve), key.point) == key


def test_what_is_no_key_is_named(prepared):
    key = prepared.keys["secp256r1"]
    params = ec_params(key.curve)
    for point, match in ((key.point[:-1], "no point of secp256r1"), (b"\x04" + bytes(64), "not on secp256r1")):
        with pytest.raises(TokenError, match=match) as error:
            public_key_of(params, point)
        assert error.value.remedy is Remedy.FATAL
    with pytest.raises(TokenError, match="does not know"):
        public_key_of(bytes.fromhex("06032b6570"), key.point)
