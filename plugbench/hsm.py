"""`plugbench hsm`: make and list token keys, sign, show the public key."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # imported where they are used: the command has to start fast
    from hsm.pin import PinSource
    from hsm.provision import Module
    from ocmf.keys import PublicKey
    from ports.signer import Signer

Subparsers = argparse._SubParsersAction  # noqa: SLF001 - argparse gives its type no public name
FORMS = ("hex", "base64", "pem", "oca", "qr", "svg")


def add_commands(subparsers: Subparsers[argparse.ArgumentParser]) -> None:
    """Add `hsm` with its verbs."""
    hsm = subparsers.add_parser("hsm", help="make and list token keys, sign, show the public key")
    verbs = hsm.add_subparsers(dest="verb", metavar="verb", required=True)

    init = verbs.add_parser("init", help="make a token (where there is none of that label) and a key on it")
    _add_key(init)
    _add_pin(init)
    init.add_argument("--curve", default="secp256r1", help="an OCMF curve (secp256r1)")
    init.add_argument("--so-pin-file", type=Path, metavar="FILE", help="security officer's PIN (random, forgotten)")
    init.set_defaults(run=_init)

    listing = verbs.add_parser("list", help="list tokens, and keys as far as they are visible")
    _add_module(listing)
    _add_pin(listing)
    listing.add_argument("--token", default="", metavar="LABEL", help="log in to this one and list private keys too")
    listing.add_argument("--curves", action="store_true", help="also ask --token which OCMF curves it has")
    listing.set_defaults(run=_list)

    sign = verbs.add_parser("sign", help="sign SHA-256 of a file (or stdin): ECDSA, DER in hex")
    _add_key(sign)
    _add_pin(sign)
    sign.add_argument("message", nargs="?", default="-", help="a file; - or nothing is stdin")
    sign.add_argument("-o", "--output", type=Path, metavar="FILE", help="write DER octets there")
    sign.set_defaults(run=lambda args: asyncio.run(_sign(args)))

    pubkey = verbs.add_parser("pubkey", help="show the public key")
    _add_key(pubkey)
    pubkey.add_argument("--form", choices=FORMS, default="hex", help="hex is DER as records carry it; oca is OCPP's")
    pubkey.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there")
    pubkey.set_defaults(run=_pubkey)


def _add_module(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--module", type=Path, metavar="FILE", help="PKCS#11 library (that of SoftHSM, if installed)")
    parser.add_argument("--softhsm", type=Path, metavar="FOLDER", help="SoftHSM with tokens of its own in this folder")
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_key(parser: argparse.ArgumentParser) -> None:
    _add_module(parser)
    parser.add_argument("--token", default="plugbench", metavar="LABEL", help="label of the token (plugbench)")
    parser.add_argument("--key", default="billing", metavar="LABEL", help="label of the key (billing)")
    parser.add_argument("--key-id", type=bytes.fromhex, default=b"", metavar="HEX", help="CKA_ID, where labels repeat")
    parser.add_argument("--file", type=Path, metavar="FILE", help="a key in a file instead: not an HSM")


def _add_pin(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument("--pin-file", type=Path, metavar="FILE", help="file with the PIN, mode 0600")
    group.add_argument("--pin-env", default="", metavar="NAME", help="environment variable with the PIN")


def _module(args: argparse.Namespace) -> Module:
    from hsm.errors import Remedy, TokenError
    from hsm.provision import Module
    from hsm.softhsm import find_module, token_folder

    path = args.module or find_module()
    if path is None:
        text = "no PKCS#11 module: name one with --module, install softhsm2, or use a key file with --file"
        raise TokenError(Remedy.FATAL, text)
    return Module(path, token_folder(args.softhsm) if args.softhsm else {})


def _pin(args: argparse.Namespace, *, make: bool = False) -> PinSource:
    """Where the PIN is; with --softhsm a file in its folder, made (random) when asked for."""
    from hsm.errors import Remedy, TokenError
    from hsm.pin import PinSource

    if args.pin_file or args.pin_env:
        return PinSource(args.pin_file, args.pin_env)
    if not args.softhsm:
        raise TokenError(Remedy.FATAL, "the PIN: name its file (--pin-file) or its environment variable (--pin-env)")
    file: Path = args.softhsm / "pin"
    if make and not file.exists():
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as secret:
            secret.write(f"{secrets.randbelow(10**8):08d}\n")
    return PinSource(file)


def _init(args: argparse.Namespace) -> int:
    """Make token and key, or a key file; 0."""
    from ocmf.curves import curve_named
    from ocmf.keys import decode_public_key

    curve = curve_named(args.curve)
    if args.file:
        from hsm.file_signer import FileSigner, make_key_file

        make_key_file(args.file, curve)
        identity = asyncio.run(FileSigner(args.file).identity())
        _show(args, decode_public_key(identity.public_key), identity.description, is_hsm=False)
        return 0
    from hsm.errors import Remedy, TokenError
    from hsm.pin import PinSource

    module, pin = _module(args), _pin(args, make=True)
    _, tokens = module.list_tokens()
    if args.token not in {token.label for token in tokens}:
        print(f"making token {args.token!r}", file=sys.stderr)
        module.init_token(args.token, pin, PinSource(args.so_pin_file) if args.so_pin_file else None)
    elif not args.key_id and any(
        key.label == args.key for token in tokens if token.label == args.token for key in token.keys
    ):
        text = f"token {args.token!r} has a key {args.key!r}: name another (--key), or an id of its own (--key-id)"
        raise TokenError(Remedy.FATAL, text)
    print(f"making key {args.key!r} on {curve.name}", file=sys.stderr)
    public = module.generate_key(args.token, args.key, curve, pin, args.key_id or secrets.token_bytes(4))
    _show(args, public, f"key {args.key!r} on token {args.token!r} through {module.path}", is_hsm=True)
    return 0


def _list(args: argparse.Namespace) -> int:
    """Print tokens and keys; 0."""
    module = _module(args)
    pin = _pin(args) if args.token else None
    library, tokens = module.list_tokens(login=args.token, pin=pin)
    curves, refused = module.curves(args.token, pin) if args.curves and pin else ((), {})
    if args.json:
        rows = [
            {
                "label": token.label,
                "serial": token.serial,
                "model": token.model,
                "manufacturer": token.manufacturer,
                "keys": [
                    {
                        "kind": key.kind,
                        "label": key.label,
                        "id": key.key_id.hex(),
                        "curve": key.public.curve.name if key.public else None,
                        "public_key": key.public.hex() if key.public else None,
                    }
                    for key in token.keys
                ],
            }
            for token in tokens
        ]
        found = {"curves": [curve.name for curve in curves], "refused": dict(refused)} if args.curves else {}
        print(json.dumps({"module": str(module.path), "library": library, "tokens": rows, **found}))
        return 0
    print(f"{module.path}: {library}")
    for token in tokens:
        print(f"token {token.label!r}: {token.manufacturer}, {token.model}, serial {token.serial}")
        for key in token.keys:
            about = f"{key.public.curve.name}, SHA-256 {key.public.fingerprint}" if key.public else ""
            print(f"  {key.kind:<8}{key.label!r} id {key.key_id.hex() or '-'}  {about}".rstrip())
    if not tokens:
        print("no token")
    if args.curves:
        print(f"curves of {args.token!r}: {', '.join(curve.name for curve in curves)}")
        for name, reason in refused.items():
            print(f"  not {name}: {reason}")
    return 0


async def _sign(args: argparse.Namespace) -> int:
    """Sign a file; 0."""
    from hsm.errors import Remedy, TokenError

    message = await asyncio.to_thread(_read, args.message)
    signer = _signer(args)
    try:
        identity = await signer.identity()
        signature = await signer.sign(message)
    finally:
        await signer.close()
    if args.output:
        try:
            await asyncio.to_thread(args.output.write_bytes, signature)
        except OSError as error:
            raise TokenError(Remedy.FATAL, f"{args.output}: {error.strerror}") from None
    if args.json:
        row = {"signature": signature.hex().upper(), "curve": identity.curve, "hash": "SHA-256"}
        print(json.dumps({**row, "public_key": identity.public_key.hex().upper(), "is_hsm": identity.is_hsm}))
    elif not args.output:
        print(signature.hex().upper())
    if not identity.is_hsm:
        print(f"signed with a {identity.description}", file=sys.stderr)
    return 0


def _signer(args: argparse.Namespace) -> Signer:
    if args.file:
        from hsm.file_signer import FileSigner

        return FileSigner(args.file)
    from hil_rigs.real_clock import RealClock
    from hsm.token_signer import TokenKey, TokenSigner

    module = _module(args)
    key = TokenKey(
        module=module.path,
        token=args.token,
        key=args.key,
        key_id=args.key_id,
        pin=_pin(args),
        environment=module.environment,
    )
    return TokenSigner(key, RealClock())


def _pubkey(args: argparse.Namespace) -> int:
    """Show the public key; no PIN is needed. 0."""
    from hsm.errors import Remedy, TokenError
    from ocmf.keys import decode_public_key

    if args.file:
        from hsm.file_signer import FileSigner

        identity = asyncio.run(FileSigner(args.file).identity())
        public, about = decode_public_key(identity.public_key), identity.description
    else:
        module = _module(args)
        _, tokens = module.list_tokens()
        found = [
            key.public
            for token in tokens
            for key in token.keys
            if token.label == args.token and key.label == args.key and args.key_id in {b"", key.key_id} and key.public
        ]
        if len(found) != 1:
            text = f"{len(found)} public keys {args.key!r} on token {args.token!r}"
            raise TokenError(Remedy.FATAL, f"{text}: see `plugbench hsm list`, name one with --key and --key-id")
        public, about = found[0], f"key {args.key!r} on token {args.token!r} through {module.path}"
    if args.json:
        _show(args, public, about, is_hsm=not args.file)
        return 0
    text = _formatted(public, args.form)
    if args.output:
        try:
            args.output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise TokenError(Remedy.FATAL, f"{args.output}: {error.strerror}") from None
    else:
        print(text, end="" if text.endswith("\n") else "\n")
    return 0


def _formatted(public: PublicKey, form: str) -> str:
    if form in {"qr", "svg"}:
        from hsm.public_key_qr import qr_svg, qr_text

        return qr_text(public) if form == "qr" else qr_svg(public)
    return {"hex": public.hex, "base64": public.base64, "pem": public.pem, "oca": public.oca}[form]()


def _show(args: argparse.Namespace, public: PublicKey, about: str, *, is_hsm: bool) -> None:
    if args.json:
        row = {"public_key": public.hex(), "curve": public.curve.name, "fingerprint": public.fingerprint}
        forms = {"base64": public.base64(), "pem": public.pem(), "oca": public.oca()}
        print(json.dumps({**row, **forms, "is_hsm": is_hsm, "description": about}))
        return
    print(
        f"{about}\n  curve       {public.curve.name}\n  SHA-256     {public.fingerprint}\n  public key  {public.hex()}"
    )


def _read(name: str) -> bytes:
    from hsm.errors import Remedy, TokenError

    if name == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise TokenError(Remedy.FATAL, f"{name}: {error.strerror}") from None
