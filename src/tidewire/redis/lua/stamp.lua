-- Returns the end of a stream topic and the time of Redis's clock at that moment. Begins the topic's epoch if it has
-- none, because a position without an epoch would be the same before and after a flush.
-- KEYS[1] stream
-- KEYS[2] position (hash epoch, offset, mark, ...)
-- KEYS[3] seen
-- ARGV[1] an epoch, used if the topic has none
-- Returns {epoch, offset, mark, milliseconds since 1970}
if redis.call('HEXISTS', KEYS[2], 'epoch') == 0 then
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'offset', 0)
end
local position = redis.call('HMGET', KEYS[2], 'epoch', 'offset', 'mark')
local now = redis.call('TIME')
return {position[1], tonumber(position[2]), position[3] or '', now[1] * 1000 + math.floor(now[2] / 1000)}
