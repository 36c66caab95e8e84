-- Stores a node's report, removes expired ones, and returns the pending command for the node.
-- KEYS[1] reports
-- KEYS[2] report_times
-- KEYS[3] versions
-- KEYS[4] commands
-- ARGV[1] run of the node
-- ARGV[2] its report
-- ARGV[3] topic that shows the reports
-- ARGV[4] life of a report in ms
-- Returns the command, or ''. A command remains until it expires, so that it can be returned again after a lost reply.
local now = milliseconds()
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
for _, run in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4], 'LIMIT', 0, 100)) do
  redis.call('HDEL', KEYS[1], run)
  redis.call('ZREM', KEYS[2], run)
end
-- Written before a clock was set back, or by a Redis with a faster clock: until that time a dead node would seem alive.
for _, run in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. string.format('%.0f', now), '+inf', 'LIMIT', 0, 100)) do
  redis.call('ZADD', KEYS[2], now, run)
end
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[4])
next_version(KEYS[3], ARGV[3], ARGV[1] .. '|' .. ARGV[2])
return redis.call('HGET', KEYS[4], ARGV[1]) or ''
