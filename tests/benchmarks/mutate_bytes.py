"""Damage to bytes, whatever they mean: each function gives the new content and what was done."""

from random import Random


def cut(content: bytes, rng: Random) -> tuple[bytes, str]:
    kept = rng.randrange(len(content))
    return content[:kept], f"cut to {kept} of {len(content)} bytes"


def flip(content: bytes, rng: Random) -> tuple[bytes, str]:
    """One bit of one to eight bytes."""
    return flip_within(content, 0, len(content), rng)


def flip_within(content: bytes, start: int, stop: int, rng: Random) -> tuple[bytes, str]:
    changed = bytearray(content)
    places = sorted(rng.randrange(start, stop) for _ in range(rng.choice((1, 1, 1, 2, 8))))
    for place in places:
        changed[place] ^= 1 << rng.randrange(8)
    return bytes(changed), f"bits flipped at {', '.join(map(str, places))} of {len(content)} bytes"


def drop_range(content: bytes, rng: Random) -> tuple[bytes, str]:
    start, length = rng.randrange(len(content)), rng.choice((1, 16, 200))
    return content[:start] + content[start + length :], f"{length} bytes lost at {start}"


def repeat_range(content: bytes, rng: Random) -> tuple[bytes, str]:
    start, length = rng.randrange(len(content)), rng.choice((1, 16, 200))
    piece = content[start : start + length]
    return content[:start] + piece + content[start:], f"{length} bytes repeated at {start}"


def blank_range(content: bytes, rng: Random) -> tuple[bytes, str]:
    start = rng.randrange(len(content))
    length = min(rng.choice((1, 16, 200, 4096)), len(content) - start)
    blank = bytes(length)
    return content[:start] + blank + content[start + length :], f"{length} zeros at {start}"
