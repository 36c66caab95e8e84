#!/bin/sh
# Renders the templates again and reloads nginx if anything has changed; `make compose-upgrade` runs it in nginx's
# container. A configuration that nginx refuses is put back.
set -eu
main=/etc/nginx/tidewire/nginx.conf
next=$(mktemp -d /tmp/next.XXXXXX)
last=$(mktemp -d /tmp/last.XXXXXX)
trap 'rm -rf "$next" "$last"' EXIT
# The image's own entrypoint renders before each command that is called nginx.
TIDEWIRE_RENDER_ONLY=1 NGINX_ENVSUBST_OUTPUT_DIR=$next /docker-entrypoint.sh nginx -v >/dev/null 2>&1
changed=
for file in "$next"/*.conf; do
    cmp -s "$file" "/tmp/${file##*/}" || changed=1
done
cmp -s "$main" /tmp/main.read || changed=1
if [ -z "$changed" ]; then
    echo "the configuration is unchanged"
    exit 0
fi
cp /tmp/*.conf "$last"
cp "$next"/*.conf /tmp/
if ! nginx -t -q -c "$main"; then
    cp "$last"/*.conf /tmp/
    exit 1
fi
nginx -s reload -c "$main"
cp "$main" /tmp/main.read
echo "reloaded with its changed configuration"
