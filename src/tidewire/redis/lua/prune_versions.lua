-- Removes the versions of state topics that have not changed for long, a few at a time. A topic that changes again gets a
-- higher version, because versions count from the time; a feed that still follows the topic then reads it again.
-- KEYS[1] hash to scan: versions or their tags, some of which may have no version
-- KEYS[2] versions
-- KEYS[3] tags
-- ARGV[1] cursor
-- ARGV[2] milliseconds since the last change
-- ARGV[3] count
-- Returns {next cursor, number of versions removed}
local oldest = milliseconds() - ARGV[2]
local scanned = redis.call('HSCAN', KEYS[1], ARGV[1], 'COUNT', ARGV[3])
local pruned = 0
for i = 1, #scanned[2], 2 do
  local topic = scanned[2][i]
  if (tonumber(string.match(redis.call('HGET', KEYS[2], topic) or '0', '^%d+')) or 0) < oldest then
    pruned = pruned + redis.call('HDEL', KEYS[2], topic)
    redis.call('HDEL', KEYS[3], topic)
  end
end
return {scanned[1], pruned}
