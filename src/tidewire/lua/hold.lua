-- Sets how many connections of a member a node holds on a topic. Absolute, so repeating it is harmless.
-- KEYS[1] nodes  KEYS[2] holds of the node  KEYS[3] deadlines  KEYS[4] versions
-- KEYS[5] holders of the topic  KEYS[6] members of topic and phase  KEYS[7] changed topics of the index
-- ARGV[1] node  ARGV[2] topic  ARGV[3] phase  ARGV[4] member  ARGV[5] connections
-- ARGV[6] grace in ms  ARGV[7] index topic or ''
-- Returns -1 where the node has no lease (nothing was written: register and refill), 1 where the members changed, else 0
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then
  return -1
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local hold = ARGV[2] .. '|' .. ARGV[3] .. '|' .. ARGV[4]
local holder = ARGV[3] .. '|' .. ARGV[4]
local before = tonumber(redis.call('HGET', KEYS[2], hold) or '0')
local count = tonumber(ARGV[5])
if count > 0 then
  redis.call('HSET', KEYS[2], hold, count)
  if before == 0 then
    redis.call('HINCRBY', KEYS[5], holder, 1)
  end
  redis.call('ZREM', KEYS[3], hold)
  if redis.call('ZADD', KEYS[6], 'NX', now, ARGV[4]) == 1 then
    local version = math.max(tonumber(redis.call('HGET', KEYS[4], ARGV[2]) or '0') + 1, now)
    redis.call('HSET', KEYS[4], ARGV[2], string.format('%.0f', version))
    if ARGV[7] ~= '' then
      local index = math.max(tonumber(redis.call('HGET', KEYS[4], ARGV[7]) or '0') + 1, now)
      redis.call('HSET', KEYS[4], ARGV[7], string.format('%.0f', index))
      redis.call('ZADD', KEYS[7], index, ARGV[2])
    end
    return 1
  end
elseif before > 0 then
  redis.call('HDEL', KEYS[2], hold)
  if redis.call('HINCRBY', KEYS[5], holder, -1) <= 0 then
    redis.call('HDEL', KEYS[5], holder)
  end
  -- Also where another node holds it: that one's lease may have ended unseen. While it is held, nobody leaves.
  redis.call('ZADD', KEYS[3], now + ARGV[6], hold)
end
return 0
