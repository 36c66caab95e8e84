#!/bin/sh
# Starts Redis in the role that the Sentinels give it; where none answers yet, the first pod is the primary.
set -eu
umask 077
me=$POD_NAME.redis-sentinel
password=$(cat /run/secrets/redis/redis_replication_password)
first=${SENTINELS%%:*}

# A primary that ended comes back empty. Its replicas would copy that; so it waits until one of them is the primary.
primary=$(sh /etc/redis-sentinel/primary.sh)
for _ in $(seq 30); do
  [ "$primary" = "$me" ] || break
  echo "the Sentinels still call this pod the primary: waiting for another"
  sleep 1
  primary=$(sh /etc/redis-sentinel/primary.sh)
done
[ -n "$primary" ] || primary=$first

# Besides the kit's own users those that Redis's documentation gives to replicas and to Sentinels.
{
  cat /run/secrets/redis/redis.acl
  echo "user replica on >$password resetkeys resetchannels -@all +psync +replconf +ping"
  echo "user sentinel on >$password resetkeys resetchannels allchannels -@all +multi +exec +ping +info +role +publish" \
    "+subscribe +slaveof +config|rewrite +client|setname +client|kill +script|kill"
} >/data/users.acl
# Sentinel rewrites this file when it changes a role; the next start creates a new one.
cat >/data/redis.conf <<END
protected-mode no
aclfile /data/users.acl
masteruser replica
masterauth $password
replica-announce-ip $me
# A primary that is cut off from its replicas takes no more writes: they would be lost with it.
min-replicas-to-write 1
# Limit of the memory for a slow replica, within the container's limit.
client-output-buffer-limit replica 32mb 16mb 60
repl-diskless-sync-delay 0
END
[ "$primary" = "$me" ] || echo "replicaof $primary 6379" >>/data/redis.conf
shift
exec redis-server /data/redis.conf "$@"
