#!/bin/sh
# Makes another pod the primary before the primary's pod ends, so that the Sentinels need not detect its failure. The
# caller limits its duration.
set -eu
me=$POD_NAME.redis-sentinel
REDISCLI_AUTH=$(cat /run/secrets/redis/redis_replication_password)
export REDISCLI_AUTH
while [ "$(sh /etc/redis-sentinel/primary.sh)" = "$me" ]; do
  for address in $(echo "$SENTINELS," | tr , '\n' | grep -v "^$me:"); do
    # An error means that another hand-over is in progress, which is harmless.
    timeout 2 redis-cli -h "${address%:*}" -p "${address#*:}" --user sentinel --no-auth-warning \
      sentinel failover mymaster && break
  done
  sleep 1
done
