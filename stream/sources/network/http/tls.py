"""TLS over a connection that keeps arrival times: a record's bytes arrived when the record began to arrive.

Python's SSLSocket hides when bytes arrived, so that the records are fed to OpenSSL from memory.
"""

from __future__ import annotations

import ssl

from stream.sources.network.http.tcp import Connection, Piece

RECORD_HEADER = 5
"""Bytes: content type, version, and the length of what follows (RFC 8446, 5.1)."""
READ_BYTES = 256 << 10


class TlsConnection:
    """A Connection that encrypts what goes over ``below``; ``handshake`` comes first."""

    def __init__(self, below: Connection, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._arrived, self._leaves = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._arrived, self._leaves, server_hostname=host)
        self._records = _Records()

    def handshake(self, until_ns: int) -> None:
        """Raises OSError, also SSLCertVerificationError; TimeoutError at ``until_ns``."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush(until_ns)
                self._take(until_ns)
            except ssl.SSLError:
                self._flush(until_ns)  # the alert, which tells the camera why
                raise
            else:
                return self._flush(until_ns)

    def send(self, data: bytes, until_ns: int) -> None:
        self._tls.write(data)
        self._flush(until_ns)

    def receive(self, until_ns: int | None = None) -> Piece:
        piece = Piece(b"", self._records.first_ns, self._records.first_ns)
        while not (data := self._decrypted()):
            if data is not None:
                return piece
            taken = self._take(until_ns)
            piece = taken._replace(data=b"", is_overdue=piece.is_overdue or taken.is_overdue)
        return piece._replace(data=data)

    def interrupt(self) -> None:
        self._below.interrupt()

    def close(self) -> None:
        self._below.close()

    def _decrypted(self) -> bytes | None:
        """All that can be decrypted; None: nothing now; empty: the other side ended the connection."""
        parts: list[bytes] = []
        try:
            while part := self._tls.read(READ_BYTES):
                parts.append(part)
        except ssl.SSLWantReadError:
            return b"".join(parts) or None
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):  # cameras rarely say goodbye
            pass
        return b"".join(parts)

    def _take(self, until_ns: int | None) -> Piece:
        piece = self._below.receive(until_ns)
        if piece.data:
            self._arrived.write(piece.data)
        else:
            self._arrived.write_eof()
        return piece._replace(first_ns=self._records.add(piece))

    def _flush(self, until_ns: int) -> None:
        if out := self._leaves.read():
            self._below.send(out, until_ns)


class _Records:
    """Follows the records in what arrives, because OpenSSL gives their bytes only when they are complete."""

    def __init__(self) -> None:
        self._header = bytearray()
        self._left = 0
        """Bytes of the current record that are missing."""
        self.first_ns = 0
        """Arrival of the first byte of what was not decrypted before the newest piece."""
        self._begun_ns: int | None = None
        """Arrival of the first byte of a record that is not complete."""

    def add(self, piece: Piece) -> int:
        """Arrival of the first byte of the records that ``piece`` completes."""
        self.first_ns = piece.first_ns if self._begun_ns is None else min(self._begun_ns, piece.first_ns)
        at, data = 0, piece.data
        while at < len(data):
            if self._left == 0:
                if not self._header:
                    self._begun_ns = piece.first_ns
                missing = RECORD_HEADER - len(self._header)
                self._header += data[at : at + missing]
                at += missing
                if len(self._header) < RECORD_HEADER:
                    break
                self._left = int.from_bytes(self._header[3:], "big")
                self._header.clear()
            passed = min(self._left, len(data) - at)
            at, self._left = at + passed, self._left - passed
            if self._left == 0:
                self._begun_ns = None
        return self.first_ns
