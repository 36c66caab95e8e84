-- Appends events to a stream topic, each of them once by its id, and returns the position of each.
-- KEYS[1] stream
-- KEYS[2] position (hash epoch, offset, mark, sequence, event)
-- KEYS[3] seen (sorted set id -> offset)
-- ARGV[1] history length
-- ARGV[2] history milliseconds
-- ARGV[3] an epoch, used if the topic has none
-- ARGV[4] id of the event before these, if they are a later part of a batch, or ''
-- ARGV[5...] for each event: id, body (JSON), sequence number or ''
-- Returns, as one text with spaces between: epoch, sequence of the topic, mark before the first appended, and for each
-- event its result, offset and mark. A client reads one text in a fraction of the time of as many replies.
-- result: 1 appended, 0 a repeat, -1 refused: the topic is past this sequence number, and the id is unknown; or an event
-- before it was refused
-- SEEN, SEEN_MS: two batches, and an outage of Redis between two attempts, however short the history is.
local SEEN, SEEN_MS = 1000, 3600000
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[3]
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', 0)
end
local mark = redis.call('HGET', KEYS[2], 'mark') or ''

local stored = redis.call('HMGET', KEYS[2], 'sequence', 'event')
local last, last_id = tonumber(stored[1] or '0'), stored[2]
-- A batch that contains the topic's last event is a repeat up to that event, whether or not the ids are still known.
local repeated = false
for i = 5, #ARGV, 3 do
  repeated = repeated or (ARGV[i] == last_id and tonumber(ARGV[i + 2]) == last)
end

local results = {epoch, '', mark}
local function add(result, offset, at)
  table.insert(results, result)
  table.insert(results, offset)
  table.insert(results, at)
end
local offset = tonumber(redis.call('HGET', KEYS[2], 'offset') or '0')
local first = offset
local added, entries, ids = {}, {}, {}
-- No part of a batch passes the part before, which may have been refused for any reason: no memory, no script, a number.
local refused = ARGV[4] ~= '' and ARGV[4] ~= last_id and not redis.call('ZSCORE', KEYS[3], ARGV[4])
for i = 5, #ARGV, 3 do
  local id, sequence = ARGV[i], tonumber(ARGV[i + 2])
  local seen = added[id] or redis.call('ZSCORE', KEYS[3], id)
  local old = sequence and sequence <= last
  if refused or (old and not seen and not repeated) then
    -- The events behind it must not overtake it either.
    refused = true
    add(-1, 0, '')
  elseif seen or old then
    local entry = seen and entries[seen - first] or (seen and redis.call('XRANGE', KEYS[1], seen .. '-0', seen .. '-0')[1])
    add(0, tonumber(seen or '0'), entry and entry[2][4] or '')
  else
    -- A digest of all events so far. If Redis lost the last events, their offsets are given to other events, but the
    -- marks at these offsets differ.
    local after = mark
    offset = offset + 1
    mark = string.sub(redis.sha1hex(after .. id), 1, 12)
    added[id] = offset
    table.insert(entries, {offset .. '-0', {'body', ARGV[i + 1], 'mark', mark, 'after', after}})
    table.insert(ids, offset)
    table.insert(ids, id)
    if sequence then
      last, last_id = sequence, id
    end
    add(1, offset, mark)
  end
end
if offset > first then
  -- Must precede the entries: if an entry is refused, its offset is skipped and never assigned twice.
  redis.call('HSET', KEYS[2], 'offset', offset, 'mark', mark)
  for _, entry in ipairs(entries) do
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], entry[1], unpack(entry[2]))
  end
  redis.call('ZADD', KEYS[3], unpack(ids))
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', offset - math.max(ARGV[1], SEEN))
  -- Must follow the entries: a batch counts as a repeat if its last event has this number and id.
  if last_id then
    redis.call('HSET', KEYS[2], 'sequence', string.format('%.0f', last), 'event', last_id)
  end
end
-- The position outlives the history: a lost history shows as a gap, a lost position as a new epoch. The position is
-- kept for thirty days at least; after that, a client that gives it is answered as one that may have missed events.
redis.call('PEXPIRE', KEYS[2], math.max(30 * ARGV[2], 30 * 86400000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[3], math.max(ARGV[2], SEEN_MS))
results[2] = string.format('%.0f', last)
return table.concat(results, ' ')
