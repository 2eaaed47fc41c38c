"""RTP payload formats: the payloads of one image's packets -> the coded image. No sockets, no time."""
