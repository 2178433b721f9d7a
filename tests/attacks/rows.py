"""Which attacks are tried? Rows A001-A076 of the attack table, every input of a row a case: what is sent, and which answers are right.

    signatures   A001-A013   who signed what, how, and when
    keys         A014-A022   keys, whose they are, and what looking for them may cost
    authority    A023-A034   who may say what about what
    bounds       A036-A043   what documents may make us do, and whom they may reach
    transport    A044-A062   JSON, HTTP and the wire
    outbound     A064-A076   what others make us ask for
    inorder      2.0         which fault of several is seen first

A035 (matches) and A063 (streams) come with what they attack.
"""

from tests.attacks import authority, bounds, inorder, keys, outbound, signatures, transport
from tests.attacks.stage import Case

ROWS = [f"A{number:03}" for number in range(1, 77) if number not in {35, 63}]

CASES: list[Case] = [*signatures.rows(), *keys.rows(), *authority.rows(), *bounds.rows(), *transport.rows(), *outbound.rows(), *inorder.rows()]
