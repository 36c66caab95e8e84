-- Appends events to a stream topic, each once by its id, and returns where each is.
-- KEYS[1] stream   KEYS[2] position (hash epoch, offset, mark, sequence, event)   KEYS[3] seen (sorted set id -> offset)
-- ARGV[1] history length   ARGV[2] history milliseconds   ARGV[3] an epoch, used if the topic has none
-- ARGV[4...] for each event: id, body (JSON), sequence number or ''
-- Returns {epoch, sequence of the topic, mark before the first appended, result, offset, mark, result, offset, mark, ...}
-- result: 1 appended, 0 a repeat, -1 refused: the topic is past this sequence number, and the id is unknown
-- Two batches, and an outage of Redis between two attempts, however short the history is.
local SEEN, SEEN_MS = 1000, 3600000
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[3]
  redis.call('DEL', KEYS[1], KEYS[3])
  redis.call('HSET', KEYS[2], 'epoch', epoch, 'offset', 0)
end
local mark = redis.call('HGET', KEYS[2], 'mark') or ''

local found = redis.call('HMGET', KEYS[2], 'sequence', 'event')
local last, last_id = tonumber(found[1] or '0'), found[2]
-- A batch that contains the topic's last event is a repeat up to that event, whether or not the ids are still known.
local repeated = false
for i = 4, #ARGV, 3 do
  repeated = repeated or (ARGV[i] == last_id and tonumber(ARGV[i + 2]) == last)
end

local results = {epoch, '', mark}
local function add(result, offset, at)
  table.insert(results, result)
  table.insert(results, offset)
  table.insert(results, at)
end
local refused = false
for i = 4, #ARGV, 3 do
  local id, body, sequence = ARGV[i], ARGV[i + 1], tonumber(ARGV[i + 2])
  local seen = redis.call('ZSCORE', KEYS[3], id)
  local old = sequence and sequence <= last
  if refused or (old and not seen and not repeated) then
    -- Neither do the events behind it pass it.
    refused = true
    add(-1, 0, '')
  elseif seen or old then
    local entry = seen and redis.call('XRANGE', KEYS[1], seen .. '-0', seen .. '-0')[1]
    add(0, tonumber(seen or '0'), entry and entry[2][4] or '')
  else
    local offset = redis.call('HINCRBY', KEYS[2], 'offset', 1)
    -- A digest of all events so far. A Redis that lost the last events gives their offsets to other events, but the
    -- marks at these offsets differ.
    local after = mark
    mark = string.sub(redis.sha1hex(after .. id), 1, 12)
    redis.call('HSET', KEYS[2], 'mark', mark)
    redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], offset .. '-0', 'body', body, 'mark', mark, 'after', after)
    redis.call('ZADD', KEYS[3], offset, id)
    redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', offset - math.max(ARGV[1], SEEN))
    if sequence then
      last, last_id = sequence, id
      redis.call('HSET', KEYS[2], 'sequence', ARGV[i + 2], 'event', id)
    end
    add(1, offset, mark)
  end
end
-- The position outlives the history: a lost history shows as a gap, a lost position as a new epoch. It is kept for
-- thirty days at least; after that, each client that names it is answered as one that may have missed events.
redis.call('PEXPIRE', KEYS[2], math.max(30 * ARGV[2], 30 * 86400000))
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[3], math.max(ARGV[2], SEEN_MS))
results[2] = string.format('%.0f', last)
return results
