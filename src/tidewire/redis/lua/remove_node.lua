-- Removes a node with an ended lease once it has no presence entries.
-- KEYS[1] nodes
-- KEYS[2] presence entries of the node
-- KEYS[3] witness of the node
-- ARGV[1] node
-- Returns 1 if the node was removed
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) > milliseconds() or redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('DEL', KEYS[3])
return redis.call('ZREM', KEYS[1], ARGV[1])
