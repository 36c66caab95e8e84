-- Sets a node's number of connections for one member of a topic: its presence entry. Absolute, so it can be repeated.
-- KEYS[1] nodes
-- KEYS[2] presence entries of the node
-- KEYS[3] deadlines
-- KEYS[4] audits
-- KEYS[5] witness of the node
-- KEYS[6] versions
-- KEYS[7] members of topic and phase
-- KEYS[8] changed topics of the index
-- KEYS[9] lineage of the index
-- KEYS[10] busy topics of the index
-- ARGV[1] node
-- ARGV[2] topic
-- ARGV[3] phase
-- ARGV[4] member
-- ARGV[5] connections
-- ARGV[6] grace in ms
-- ARGV[7] audit in ms
-- ARGV[8] number of the node's last acknowledged write
-- ARGV[9] number of this write
-- ARGV[10] index topic or ''
-- Returns 1 if the members changed, 0 if not, -1 if nothing was written: the node has no lease, this Redis lacks
-- acknowledged writes (the node must take another name and put everything again), or a newer write is already here
local stored = tonumber(redis.call('GET', KEYS[5]) or '-1')
if stored < tonumber(ARGV[8]) or stored > tonumber(ARGV[9]) or not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return -1
end
redis.call('SET', KEYS[5], ARGV[9], 'KEEPTTL')
local now = milliseconds()
local entry = ARGV[2] .. '|' .. ARGV[3] .. '|' .. ARGV[4]
local count = tonumber(ARGV[5])
if count > 0 then
  redis.call('HSET', KEYS[2], entry, count)
  redis.call('ZREM', KEYS[3], entry)
  redis.call('ZADD', KEYS[4], now + ARGV[7], entry)
  if redis.call('ZADD', KEYS[7], 'NX', now, ARGV[4]) == 1 then
    note_busy(KEYS[10], ARGV[2], ARGV[3], KEYS[7], ARGV[10])
    next_versions(KEYS[6], ARGV[2], '+' .. ARGV[3] .. '|' .. ARGV[4], ARGV[10], KEYS[8], KEYS[9])
    return 1
  end
elseif redis.call('HDEL', KEYS[2], entry) == 1 then
  -- Set even if another node has the member: `leave` checks all nodes, and the lease of that node may have ended
  -- undetected.
  redis.call('ZADD', KEYS[3], now + ARGV[6], entry)
end
return 0
