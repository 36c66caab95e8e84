-- Appends an event to a stream topic once, by its id, and says where it stands.
-- KEYS[1] stream   KEYS[2] position (hash epoch, offset, run)   KEYS[3] seen (sorted set id -> offset)
-- ARGV[1] event id   ARGV[2] body (JSON)   ARGV[3] history length   ARGV[4] history milliseconds
-- ARGV[5] an epoch, used if the topic has none or Redis is another process than at the last event
-- Returns {appended (1 or 0), epoch, offset}
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[5]
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', 0)
end
-- A Redis that was started again, or a replica that took over, may lack the last events, and would give their offsets
-- to others. Whoever stands somewhere in the old epoch then reloads rather than miss what it cannot know of.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
local before = redis.call('HGET', KEYS[2], 'run')
if before ~= run then
  if before and before ~= '' and run ~= '' then
    epoch = ARGV[5]
  end
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'run', run)
end
local seen = redis.call('ZSCORE', KEYS[3], ARGV[1])
if seen then
  return {0, epoch, tonumber(seen)}
end
local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], offset .. '-0', 'body', ARGV[2])
redis.call('ZADD', KEYS[3], offset, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', offset - ARGV[3])
-- The position outlives the history: a lost history shows as a gap, a lost position as a new epoch.
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[3], ARGV[4])
return {1, epoch, offset}
