#!/bin/sh
# Starts this pod's Sentinel. Its knowledge is in its file, which outlives the container; a new pod asks the others.
set -eu
umask 077
me=$POD_NAME.redis-sentinel
file=/data/sentinel.conf

# The id must stay the same, or the others would count the previous one as an unavailable Sentinel.
id() { printf %s "$1" | sha1sum | cut -c 1-40; }

if [ ! -s $file ]; then
  asking=$(cat /run/secrets/sentinel/TIDEWIRE_REDIS_SENTINEL_PASSWORD)
  password=$(cat /run/secrets/redis/redis_replication_password)
  primary=$(sh /etc/redis-sentinel/primary.sh)
  primary=${primary:-${SENTINELS%%:*}}
  {
    cat <<END
port 26379
protected-mode no
dir /tmp
# A client that asks for the primary's address may do nothing else.
user default reset on >$asking allchannels -@all +ping +hello +client|setinfo +client|setname +sentinel|masters +sentinel|get-master-addr-by-name +sentinel|replicas +sentinel|sentinels
user sentinel on >$password allchannels +@all
sentinel sentinel-user sentinel
sentinel sentinel-pass $password
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip $me
sentinel myid $(id "$me")
sentinel monitor mymaster $primary 6379 2
sentinel auth-user mymaster sentinel
sentinel auth-pass mymaster $password
# Longer than a full copy or a busy machine keeps a primary silent.
sentinel down-after-milliseconds mymaster 5000
sentinel failover-timeout mymaster 30000
END
    # Known from the start, and not from the primary, which may be unavailable.
    for address in $(echo "$SENTINELS" | tr , ' '); do
      host=${address%:*}
      [ "$host" = "$me" ] || echo "sentinel known-sentinel mymaster $host 26379 $(id "$host")"
      [ "$host" = "$primary" ] || echo "sentinel known-replica mymaster $host 6379"
    done
  } >$file
fi
exec redis-server $file --sentinel
