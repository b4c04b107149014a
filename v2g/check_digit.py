"""The check digit of an EMAID (ISO 15118-2 annex H.1, eMI3 "Check Digit Calculation for Contract-IDs").

Every character is four numbers: two modulo 2, two modulo 3. Each pair is multiplied with a power of a matrix, one per
position, and the fifteen products must add up to zero.
"""

from __future__ import annotations

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTH = 15  # with the check digit

Matrix = tuple[int, int, int, int]
P2: Matrix = (0, 1, 1, 1)  # modulo 2
P3: Matrix = (0, 1, 1, 2)  # modulo 3


def _powers(base: Matrix, modulus: int) -> list[Matrix]:
    a, b, c, d = base
    powers = [base]
    while len(powers) < LENGTH:
        e, f, g, h = powers[-1]
        product = (e * a + f * c, e * b + f * d, g * a + h * c, g * b + h * d)
        powers.append((product[0] % modulus, product[1] % modulus, product[2] % modulus, product[3] % modulus))
    return powers


_POWERS = tuple(zip(_powers(P2, 2), _powers(P3, 3), strict=True))


def check_digit_holds(emaid: str) -> bool:
    """Whether the last of 15 capitals and digits is the check digit of the first 14."""
    if len(emaid) != LENGTH or any(character not in ALPHABET for character in emaid):
        return False
    sums = [0, 0, 0, 0]
    for character, (two, three) in zip(emaid, _POWERS, strict=True):
        halves, thirds = divmod(ALPHABET.index(character), 9)
        for place, (matrix, (x, y)) in enumerate(((two, divmod(halves, 2)), (three, divmod(thirds, 3)))):
            sums[2 * place] += x * matrix[0] + y * matrix[2]
            sums[2 * place + 1] += x * matrix[1] + y * matrix[3]
    return not (sums[0] % 2 or sums[1] % 2 or sums[2] % 3 or sums[3] % 3)


def with_check_digit(emaid: str) -> str:
    """14 capitals and digits with their check digit behind them; anything else as it is."""
    if len(emaid) != LENGTH - 1:
        return emaid
    return next((emaid + digit for digit in ALPHABET if check_digit_holds(emaid + digit)), emaid)
