-- Forgets a node whose lease has ended once nothing is left that it holds.
-- KEYS[1] nodes  KEYS[2] holds of the node   ARGV[1] node
-- Returns 1 where it was forgotten
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease or tonumber(lease) > now or redis.call('HLEN', KEYS[2]) > 0 then
  return 0
end
return redis.call('ZREM', KEYS[1], ARGV[1])
