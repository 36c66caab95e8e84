-- Makes a topic's members agree with the nodes' holds, for one member whose leave deadline or audit has come. The first
-- caller does it, once.
-- KEYS[1] nodes  KEYS[2] deadlines  KEYS[3] audits  KEYS[4] versions  KEYS[5] members of topic and phase
-- KEYS[6] changed topics of the index  KEYS[7] lineage of the index   KEYS[8] busy topics of the index
-- ARGV[1] topic  ARGV[2] phase  ARGV[3] member  ARGV[4] audit in ms  ARGV[5] index topic or ''
-- ARGV[6] key of a node's holds, less the node: a script cannot be passed a key for nodes that register meanwhile
-- Returns 1 where the members changed, or the index had not shown them, else 0
local now = milliseconds()
local hold = ARGV[1] .. '|' .. ARGV[2] .. '|' .. ARGV[3]
local deadline = tonumber(redis.call('ZSCORE', KEYS[2], hold) or '0')
local audit = tonumber(redis.call('ZSCORE', KEYS[3], hold) or '0')
if deadline > now or (deadline == 0 and (audit == 0 or audit > now)) then
  return 0
end
redis.call('ZREM', KEYS[2], hold)
local held = false
-- Also a node whose lease has ended: its release gives each of its members the grace.
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  held = held or redis.call('HEXISTS', ARGV[6] .. node, hold) == 1
end
local change
if held then
  redis.call('ZADD', KEYS[3], now + ARGV[4], hold)
  change = redis.call('ZADD', KEYS[5], 'NX', now, ARGV[3]) == 1 and '+'
else
  redis.call('ZREM', KEYS[3], hold)
  change = redis.call('ZREM', KEYS[5], ARGV[3]) == 1 and '-'
end
-- Also where no member changed: what an older release or a fault left out is made good by the audit, and is a change to
-- those who read the index meanwhile.
if note_busy(KEYS[8], ARGV[1], ARGV[2], KEYS[5], ARGV[5]) then
  change = change or '='
end
if not change then
  return 0
end
next_versions(KEYS[4], ARGV[1], change .. ARGV[2] .. '|' .. ARGV[3], ARGV[5], KEYS[6], KEYS[7])
return 1
