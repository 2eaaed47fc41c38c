"""The tables that RFC 2435 leaves out of the packets: Huffman (ITU-T T.81, K.3) and quantisation (K.1, K.2)."""

from __future__ import annotations

HUFFMAN_SEGMENTS = b"".join(
    b"\xff\xc4" + (len(table) + 2).to_bytes(2, "big") + table
    for table in map(
        bytes.fromhex,
        (
            "0000010501010101010100000000000000000102030405060708090a0b",
            "100002010303020403050504040000017d0102030004110512213141061351610722711432"
            "8191a1082342b1c11552d1f02433627282090a161718191a25262728292a3435363738393a"
            "434445464748494a535455565758595a636465666768696a737475767778797a8384858687"
            "88898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8"
            "c9cad2d3d4d5d6d7d8d9dae1e2e3e4e5e6e7e8e9eaf1f2f3f4f5f6f7f8f9fa",
            "0100030101010101010101010000000000000102030405060708090a0b",
            "110002010204040304070504040001027700010203110405213106124151076171132232810"
            "8144291a1b1c109233352f0156272d10a162434e125f11718191a262728292a35363738393a"
            "434445464748494a535455565758595a636465666768696a737475767778797a82838485868"
            "788898a92939495969798999aa2a3a4a5a6a7a8a9aab2b3b4b5b6b7b8b9bac2c3c4c5c6c7c8"
            "c9cad2d3d4d5d6d7d8d9dae2e3e4e5e6e7e8e9eaf2f3f4f5f6f7f8f9fa",
        ),
    )
)
"""DHT segments: brightness DC and AC, colour DC and AC."""

# fmt: off
_BRIGHTNESS = (
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
)
_COLOUR = (17, 18, 18, 24, 21, 24, 47, 26, 26, 47, 99, 66, 56, 66, *(99,) * 50)
# fmt: on
"""In zigzag order, at quality 50."""


def quantisation_tables(quality: int) -> bytes:
    """128 bytes, brightness and colour in zigzag order, for a quality of 1 to 99 (RFC 2435, section 4.2)."""
    quality = min(max(quality, 1), 99)
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return bytes(min(max((value * scale + 50) // 100, 1), 255) for value in (*_BRIGHTNESS, *_COLOUR))
