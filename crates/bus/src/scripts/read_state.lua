-- A part of a room's state, and where the room is in the same step. It writes nothing.
-- ARGV after the common four: 5 cursor ("0" for the first part), 6 entries to look at.
-- Answers epoch, seq, ancestors, the highest seq of a forgotten removal, Redis's time, the next
-- cursor ("0" after the last part), then per entry: field, value.

local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ancestors', 'life', 'state')
if not m[1] or (m[4] ~= ARGV[3] and kinship(m[4]) == 'gone') then
  return { '0000000000000000', '0', '', '0', text(clock()), '0' }
end
local forgotten = string.match(m[5] or '', '^%d+ %d+ %d+ (%d+) ')
local answer = { m[1], m[2] or '0', m[3] or '', forgotten or '0', text(clock()), '0' }
if forgotten then
  local part = redis.call('HSCAN', KEYS[5], ARGV[5], 'COUNT', ARGV[6])
  answer[6] = part[1]
  for _, word in ipairs(part[2]) do
    answer[#answer + 1] = word
  end
end
return answer
