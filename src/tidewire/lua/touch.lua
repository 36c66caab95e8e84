-- Renews a node's lease, and names the nodes whose lease has ended and the members whose deadline has passed.
-- KEYS[1] nodes  KEYS[2] deadlines
-- ARGV[1] node or '' (then nothing is renewed)  ARGV[2] lease in ms  ARGV[3] 1 to register an unknown node
-- ARGV[4] at most so many holds are named
-- Returns {known (1 or 0), {node ...}, {hold ...}}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local known = 0
if ARGV[1] ~= '' then
  local lease = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
  if lease > now or (lease == 0 and ARGV[3] == '1') then
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
    known = 1
  end
end
return {
  known,
  redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10),
  redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[4]),
}
