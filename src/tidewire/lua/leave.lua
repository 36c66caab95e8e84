-- Takes a member off a topic if its leave deadline has passed. Whoever gets there first does it, once.
-- KEYS[1] deadlines  KEYS[2] versions  KEYS[3] holders of the topic  KEYS[4] members of topic and phase
-- KEYS[5] changed topics of the index
-- ARGV[1] topic  ARGV[2] phase  ARGV[3] member  ARGV[4] index topic or ''
-- Returns 1 where the member left, else 0
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]
local deadline = tonumber(redis.call('ZSCORE', KEYS[1], hold) or '0')
if deadline == 0 or deadline > now then
  return 0
end
redis.call('ZREM', KEYS[1], hold)
if redis.call('HEXISTS', KEYS[3], ARGV[2] .. '|' .. ARGV[3]) == 1 then
  return 0
end
if redis.call('ZREM', KEYS[4], ARGV[3]) == 0 then
  return 0
end
local version = math.max(tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or '0') + 1, now)
redis.call('HSET', KEYS[2], ARGV[1], string.format('%.0f', version))
if ARGV[4] ~= '' then
  local index = math.max(tonumber(redis.call('HGET', KEYS[2], ARGV[4]) or '0') + 1, now)
  redis.call('HSET', KEYS[2], ARGV[4], string.format('%.0f', index))
  redis.call('ZADD', KEYS[5], index, ARGV[1])
end
return 1
