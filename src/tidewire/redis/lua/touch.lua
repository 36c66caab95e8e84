-- Renews a node's lease, and returns the nodes with an ended lease and the presence entries that are due.
-- KEYS[1] nodes
-- KEYS[2] deadlines
-- KEYS[3] audits
-- KEYS[4] witness of the node
-- KEYS[5] presence entries of the node
-- ARGV[1] node or '' (then nothing is renewed)
-- ARGV[2] lease in ms
-- ARGV[3] grace in ms
-- ARGV[4] audit in ms
-- ARGV[5] number of the node's last acknowledged write; 0: the node registers
-- ARGV[6] number of this write
-- ARGV[7] maximum number of presence entries to return
-- Returns {known (1 or 0), number of presence entries of the node, {node ...}, {presence entry ...}}
local now = milliseconds()
local known = 0
if ARGV[1] ~= '' then
  local acknowledged, number = tonumber(ARGV[5]), tonumber(ARGV[6])
  local stored = tonumber(redis.call('GET', KEYS[4]) or '-1')
  local lease = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '0')
  if acknowledged == 0 or (lease > now and stored >= acknowledged and stored <= number) then
    redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
    -- A day: if the list of nodes is lost, no sweep can find these keys.
    redis.call('SET', KEYS[4], ARGV[6], 'PX', 86400000)
    redis.call('PEXPIRE', KEYS[5], 86400000)
    known = 1
  end
end
-- A clock that was set back, or is behind the previous Redis's clock, would make each of these times too late.
for key, most in pairs({[KEYS[1]] = ARGV[2], [KEYS[2]] = ARGV[3], [KEYS[3]] = ARGV[4]}) do
  local latest = now + most
  for _, name in ipairs(redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%.0f', latest), '+inf', 'LIMIT', 0, 1000)) do
    redis.call('ZADD', key, latest, name)
  end
end
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[7])
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', now, 'LIMIT', 0, ARGV[7] - #due)) do
  table.insert(due, entry)
end
return {known, redis.call('HLEN', KEYS[5]), redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 10), due}
