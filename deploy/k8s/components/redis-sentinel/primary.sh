#!/bin/sh
# Prints the primary's name as the Sentinels know it, those of other pods first; nothing where none answers.
set -eu
me=$POD_NAME.redis-sentinel
REDISCLI_AUTH=$(cat /run/secrets/sentinel/TIDEWIRE_REDIS_SENTINEL_PASSWORD)
export REDISCLI_AUTH
for address in $(echo "$SENTINELS," | tr , '\n' | grep -v "^$me:") "$me:26379"; do
  said=$(timeout 2 redis-cli -h "${address%:*}" -p "${address#*:}" sentinel get-master-addr-by-name mymaster 2>/dev/null) || continue
  # The reply has two lines, name and port. A Sentinel that knows no primary, or refuses, gives another reply.
  case $said in
    redis-sentinel-*.redis-sentinel*) echo "$said" | head -n 1 && exit ;;
  esac
done
