-- Releases one presence entry of a node with an ended lease: its member gets a leave deadline.
-- KEYS[1] nodes
-- KEYS[2] presence entries of the node
-- KEYS[3] deadlines
-- ARGV[1] node
-- ARGV[2] topic
-- ARGV[3] phase
-- ARGV[4] member
-- ARGV[5] grace in ms
-- Returns 1 if it was released, 0 if the node lives or the entry did not exist
local now = milliseconds()
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if lease and tonumber(lease) > now then
  return 0
end
local entry = ARGV[2] .. '|' .. ARGV[3] .. '|' .. ARGV[4]
if redis.call('HDEL', KEYS[2], entry) == 0 then
  return 0
end
local deadline = now + ARGV[5]
if lease and now - lease < ARGV[5] / 2 then
  -- The grace runs from the end of the lease, however late within the second a sweep runs, or from a later release by
  -- another node. If no node has swept for long, clients may be equally late.
  deadline = math.max(lease + ARGV[5], tonumber(redis.call('ZSCORE', KEYS[3], entry) or '0'))
end
redis.call('ZADD', KEYS[3], deadline, entry)
return 1
