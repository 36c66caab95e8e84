-- Makes a topic's members match the nodes' presence entries, for one member with a leave deadline or audit that is due.
-- The first caller does it; later calls have no effect.
-- KEYS[1] nodes
-- KEYS[2] deadlines
-- KEYS[3] audits
-- KEYS[4] versions
-- KEYS[5] members of topic and phase
-- KEYS[6] changed topics of the index
-- KEYS[7] lineage of the index
-- KEYS[8] busy topics of the index
-- ARGV[1] topic
-- ARGV[2] phase
-- ARGV[3] member
-- ARGV[4] audit in ms
-- ARGV[5] index topic or ''
-- ARGV[6] key of a node's presence entries without the node: nodes may register meanwhile, so their keys are unknown
-- Returns 1 if the members changed or were missing from the index, else 0
local now = milliseconds()
local entry = ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]
local deadline = tonumber(redis.call('ZSCORE', KEYS[2], entry) or '0')
local audit = tonumber(redis.call('ZSCORE', KEYS[3], entry) or '0')
if deadline > now or (deadline == 0 and (audit == 0 or audit > now)) then
  return 0
end
redis.call('ZREM', KEYS[2], entry)
local connected = false
-- Includes nodes with an ended lease: their release gives each member the grace.
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  connected = connected or redis.call('HEXISTS', ARGV[6] .. node, entry) == 1
end
local change
if connected then
  redis.call('ZADD', KEYS[3], now + ARGV[4], entry)
  change = redis.call('ZADD', KEYS[5], 'NX', now, ARGV[3]) == 1 and '+'
else
  redis.call('ZREM', KEYS[3], entry)
  change = redis.call('ZREM', KEYS[5], ARGV[3]) == 1 and '-'
end
-- Must run even if no member changed: the audit repairs an entry that an older release or a fault left out, which is a
-- change for readers of the index.
if note_busy(KEYS[8], ARGV[1], ARGV[2], KEYS[5], ARGV[5]) then
  change = change or '='
end
if not change then
  return 0
end
next_versions(KEYS[4], ARGV[1], change .. ARGV[2] .. '|' .. ARGV[3], ARGV[5], KEYS[6], KEYS[7])
return 1
