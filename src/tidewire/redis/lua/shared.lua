-- Prepended to every script.

-- Returns the milliseconds of Redis's clock.
local function milliseconds()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Gives a state topic its next version, a number and a tag. The number is the time, or the last number plus one if the
-- clock is behind it. The tag is a digest of all changes so far: if Redis lost changes and made others, a number may
-- repeat, but its tag cannot. Tags have a hash of their own, because versions without tags must be readable as well.
local function next_version(versions, topic, change)
  local before = redis.call('HGET', versions, topic) or '0'
  local number = string.format('%.0f', math.max(tonumber(before) + 1, milliseconds()))
  local tags = versions .. ':tags'
  local tag = redis.call('HGET', tags, topic) or ''
  tag = string.sub(redis.sha1hex(before .. '|' .. tag .. '|' .. change), 1, 8)
  redis.call('HSET', versions, topic, number)
  redis.call('HSET', tags, topic, tag)
  return number, tag
end

-- Gives a topic and its index, if there is one, their next versions. `changed`: sorted set, topic -> number of the
-- index. `lineage`: sorted set, tag -> number of the index. Both keep the newest thousand: a reader with an older
-- version must read the whole value.
local function next_versions(versions, topic, change, index, changed, lineage)
  local number, tag = next_version(versions, topic, change)
  if index ~= '' then
    number, tag = next_version(versions, index, topic .. '|' .. tag)
    redis.call('ZADD', changed, number, topic)
    redis.call('ZADD', lineage, number, tag)
    redis.call('ZREMRANGEBYRANK', changed, 0, -1001)
    redis.call('ZREMRANGEBYRANK', lineage, 0, -1001)
  end
end

-- Keeps the set `busy` of an index, `topic|phase` with members, equal to the members. Returns whether it had to be
-- changed.
local function note_busy(busy, topic, phase, members, index)
  return index ~= ''
    and redis.call(redis.call('EXISTS', members) == 1 and 'SADD' or 'SREM', busy, topic .. '|' .. phase) == 1
end
