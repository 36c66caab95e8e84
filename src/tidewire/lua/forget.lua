-- Forgets a node whose lease has ended once it holds nothing.
-- KEYS[1] nodes  KEYS[2] holds of the node  KEYS[3] witness of the node  ARGV[1] node
-- Returns 1 where it was forgotten
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) > milliseconds() or redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
redis.call('DEL', KEYS[3])
return redis.call('ZREM', KEYS[1], ARGV[1])
