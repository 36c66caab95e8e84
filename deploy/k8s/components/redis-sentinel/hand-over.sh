#!/bin/sh
# Before the primary's pod goes it has another made the primary, so that nobody has to notice its silence first.
# Whoever calls it bounds it.
set -eu
me=$POD_NAME.redis-sentinel
REDISCLI_AUTH=$(cat /run/secrets/redis/redis_replication_password)
export REDISCLI_AUTH
while [ "$(sh /etc/redis-sentinel/primary.sh)" = "$me" ]; do
  for address in $(echo "$SENTINELS," | tr , '\n' | grep -v "^$me:"); do
    # One that is at it already says so, and does no harm.
    timeout 2 redis-cli -h "${address%:*}" -p "${address#*:}" --user sentinel --no-auth-warning \
      sentinel failover mymaster && break
  done
  sleep 1
done
