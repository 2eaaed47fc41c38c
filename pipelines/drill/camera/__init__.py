"""An RTSP camera in pure Python: RTSP 1.0 (RFC 2326), RTP and RTCP (RFC 3550), H.264, H.265 and JPEG payloads."""
