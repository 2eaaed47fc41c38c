#!/bin/sh
# Makes authority.pem, which clients trust, and camera.pem, a certificate of 127.0.0.1, ::1 and localhost with its key.
# They are valid from 2024 to 2074; no secret depends on the keys.
set -e
cd "$(dirname "$0")"
work=$(mktemp -d)
cat > "$work/config" <<END
[ca]
default_ca = ours
[ours]
database = $work/index
new_certs_dir = $work
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = supplied
[req]
distinguished_name = any
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign
subjectKeyIdentifier = hash
[camera]
subjectAltName = IP:127.0.0.1, IP:::1, DNS:localhost
authorityKeyIdentifier = keyid
END
touch "$work/index"
for who in authority camera; do
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config "$work/config" -subj "/CN=test $who" \
        -keyout "$work/$who.key" -out "$work/$who.csr"
    signer=$([ $who = authority ] && echo "-selfsign" || echo "-cert authority.pem")
    # shellcheck disable=SC2086
    openssl ca -batch -notext -config "$work/config" -extensions $who $signer -keyfile "$work/authority.key" \
        -startdate 20240101000000Z -enddate 20740101000000Z -in "$work/$who.csr" -out $who.pem
done
cat "$work/camera.key" >> camera.pem
rm -r "$work"
