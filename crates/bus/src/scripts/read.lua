-- Where a room stands and, if asked for, a range of its stream, in one step.
-- ARGV after the common four: 5 ttl ms of a room never published to, 6 mode (stand, after or
-- before), 7 seq (before: 0 = from the end), 8 only the newest so many (-1 = all), 9 age ms
-- (-1 = any), 10 limit, 11 payload bytes at most (but always one entry), 12 purpose: look, which
-- writes nothing, or hold, which begins what is not there and prolongs what is. A Redis that
-- refuses the writes answers all the same, unless the room is not there.
-- Answers epoch, seq, ancestors, cause (new, fork, unforked, none or empty), more (0 or 1), then
-- per entry in the order read: seq, time, payload.

local CHUNK = 16
local NONE = { '0000000000000000', '0', '', 'none', 0 }
local mode, holds, now = ARGV[6], ARGV[12] == 'hold', clock()
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ancestors', 'life', 'fresh', 'ttl', 'state')
local epoch, seq, ancestors, cause = m[1], tonumber(m[2] or 0), m[3] or '', ''
if not epoch then
  if not holds then
    return NONE
  end
  epoch, cause = ARGV[4], 'new'
  begin(ARGV[3], epoch)
elseif m[4] ~= ARGV[3] and holds then
  local done, current, at = pcall(adopt, m[4], epoch, seq)
  if not done then
    -- Nothing is numbered before the room is adopted, so all that is here is still good. Readers
    -- that have more than that wait for it: their answer is a reset.
    if kinship(m[4]) == 'gone' or (mode == 'after' and tonumber(ARGV[7]) > seq) then
      return redis.error_reply(reason(current))
    end
    cause = 'unforked'
  elseif current ~= epoch then
    epoch, seq, cause = current, at, 'fork'
    ancestors = redis.call('HGET', KEYS[1], 'ancestors')
  end
elseif m[4] ~= ARGV[3] and kinship(m[4]) == 'gone' then
  return NONE
end
local ttl = m[6] or ARGV[5]
if holds and (not m[5] or now - tonumber(m[5]) > tonumber(ttl) / 4) then
  -- Refused, the room lasts until it can be written again, or until its end.
  pcall(live_on, ttl, now, (m[7] or '') ~= '')
end

local answer = { epoch, text(seq), ancestors, cause, 0 }
if mode == 'stand' then
  return answer
end

local oldest, since = 1, -1
if tonumber(ARGV[8]) >= 0 then
  oldest = math.max(1, seq - tonumber(ARGV[8]) + 1)
end
if tonumber(ARGV[9]) >= 0 then
  since = now - tonumber(ARGV[9])
end
local limit, most, count, bytes = tonumber(ARGV[10]), tonumber(ARGV[11]), 0, 0

-- Takes one entry; true if the page is full.
local function take(entry, time)
  local payload = entry[2][4]
  bytes = bytes + #payload
  if count == limit or (count > 0 and bytes > most) then
    answer[5] = 1
    return true
  end
  count = count + 1
  answer[#answer + 1] = string.match(entry[1], '^%d+')
  answer[#answer + 1] = time
  answer[#answer + 1] = payload
  return false
end

local bound = tonumber(ARGV[7])
local from, to, command
if mode == 'after' then
  command, from, to = 'XRANGE', text(math.max(oldest, bound + 1)) .. '-0', '+'
else
  command, to = 'XREVRANGE', text(oldest) .. '-0'
  from = bound > 0 and '(' .. text(bound) .. '-0' or '+'
end
while true do
  local entries = redis.call(command, KEYS[2], from, to, 'COUNT', CHUNK)
  for _, entry in ipairs(entries) do
    local time = entry[2][2]
    if tonumber(time) > since then
      if take(entry, time) then
        return answer
      end
    elseif mode == 'before' then
      return answer
    end
  end
  if #entries < CHUNK then
    return answer
  end
  from = '(' .. entries[#entries][1]
end
