#!/bin/sh
# The image's entrypoint runs this before nginx. The access log is a file in a volume, which outlives the container; it
# is shown on standard output too, and is rotated by size, so that it is bounded.
set -eu
# The configuration that nginx reads now, for reload.sh.
[ -n "${TIDEWIRE_RENDER_ONLY:-}" ] && exit 0
cp /etc/nginx/tidewire/nginx.conf /tmp/main.read
log=$TIDEWIRE_ACCESS_LOG
limit=${TIDEWIRE_ACCESS_LOG_BYTES:-20000000}
kept=9
touch "$log"

rotate() {
    number=$kept
    while [ "$number" -gt 1 ]; do
        before=$((number - 1))
        if [ -e "$log.$before" ]; then mv -f "$log.$before" "$log.$number"; fi
        number=$before
    done
    mv -f "$log" "$log.1"
    # nginx opens a new file.
    kill -USR1 "$(cat /tmp/nginx.pid)"
}

(while sleep 5; do
    if [ -s "$log" ] && [ "$(wc -c <"$log")" -gt "$limit" ]; then rotate || :; fi
done) >/dev/null 2>&1 &
tail -n 0 -F "$log" 2>/dev/null &
