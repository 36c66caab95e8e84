-- Applies one move to an edit lease. All transitions are here: no other code writes a lease.
-- KEYS[1] lease (hash holder, ends, asker, answer_by, asks_until; '' is no member, times are milliseconds)
-- KEYS[2] versions
-- ARGV[1] step: take, touch, ask, hand_over, keep or leave
-- ARGV[2] topic
-- ARGV[3] editor
-- ARGV[4] asker answered or ''
-- ARGV[5] lease in ms
-- ARGV[6] time to answer in ms
-- ARGV[7] grace in ms
-- Returns {1 if the editor holds the lease now, 1 if the holder or the asker changed}
local now = milliseconds()
local step, me, answered = ARGV[1], ARGV[3], ARGV[4]
local lease, answer, grace = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local stored = redis.call('HMGET', KEYS[1], 'holder', 'ends', 'asker', 'answer_by', 'asks_until')
local holder, asker = stored[1] or '', stored[3] or ''
local ends, answer_by = tonumber(stored[2] or '0'), tonumber(stored[4] or '0')
local asks_until = tonumber(stored[5] or answer_by + lease)
local before = {holder, ends, asker, answer_by, asks_until}
-- A clock that was set back, or is behind the previous Redis's clock, would make each of these times too late.
ends = math.min(ends, now + lease)
answer_by = math.min(answer_by, now + answer)
asks_until = math.min(asks_until, answer_by + lease)

-- An asker that stops renewing the request has left.
if asker ~= '' and asks_until <= now then
  asker = ''
end
local free = asker == '' and ends <= now
local mine = holder == me
if step == 'hand_over' then
  if mine and asker ~= '' and asker == answered then
    -- An asker that has left in the meantime must not hold the lease for longer than the request was valid.
    holder, ends, asker = asker, math.min(now + lease, asks_until), ''
  end
elseif step == 'keep' then
  if mine and asker == answered then
    asker = ''
  end
elseif step == 'leave' then
  if mine then
    ends = math.min(ends, now + grace)
  elseif asker == me then
    -- The same member may have another tab open on another node, which renews the request at its next touch.
    asks_until = math.min(asks_until, now + grace)
  end
elseif mine then
  if step ~= 'ask' then
    ends = now + lease
  end
elseif step == 'touch' and not stored[1] then
  -- Redis lost the lease. Its holder can return within the grace, and has priority over waiting editors.
  ends = now + grace
elseif free or (holder == '' and step ~= 'touch') then
  holder, ends = me, now + lease
elseif asker == me then
  asks_until = answer_by + lease
  if ends <= now or answer_by <= now then
    holder, ends, asker = me, now + lease, ''
  end
elseif step == 'ask' and asker == '' then
  asker, answer_by = me, now + answer
  asks_until = answer_by + lease
end

if ends ~= before[2] or holder ~= before[1] or asker ~= before[3] or answer_by ~= before[4]
  or asks_until ~= before[5] then
  redis.call('HSET', KEYS[1], 'holder', holder, 'ends', string.format('%.0f', ends),
    'asker', asker, 'answer_by', string.format('%.0f', answer_by), 'asks_until', string.format('%.0f', asks_until))
  redis.call('PEXPIRE', KEYS[1], 2 * lease + answer)
end
local changed = holder ~= before[1] or asker ~= before[3]
if changed then
  next_version(KEYS[2], ARGV[2], holder .. '|' .. asker)
end
return {holder == me and 1 or 0, changed and 1 or 0}
