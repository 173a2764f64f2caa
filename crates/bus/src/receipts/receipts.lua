-- What users confirmed of a room: how far each has received and read it.
-- KEYS: the room's (see meta.lua), and the last one: its receipts, a sorted set: "c" and a user ->
-- the seq that it received, "d" and a user -> the seq that it read, below zero, and "e" and the
-- epoch that these seqs count in -> 0. So one range counts the users that have a message.
-- ARGV after the common four: 5 mode, 6 ttl ms of the receipts (0 or empty: as it is); then
--  - "move": 7 PUBLISH or SPUBLISH, 8 channel, 9 users at most, and per move user, epoch, seq,
--    "c" (received) or "d" (received and read), and the connections that asked for it. A new user
--    above the bound is "o", a position of an epoch that is not of the room's lineage "x"; each
--    other answer is "received read". What changed is pushed as "receipts epoch", a line end, and
--    "user received read connections" a line.
--  - "look": 7 user (or empty), 8 messages that users may read back, 9 age ms of these. Answers
--    "received read unread".
--  - "time": 7 a time in ms. Answers the seq before the first message of that time or later, as
--    far as the stream tells: 0 if it begins later.
--  - "count": 7 … seqs. Each answer is "received read", numbers of users.
-- Answers epoch, last seq, its time, and the mode's own. Only "move" writes more than the time to
-- live.

local receipts, mode, ttl = KEYS[#KEYS], ARGV[5], ARGV[6]
local NONE = '0000000000000000'
local m = redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ancestors', 'life', 'time')
local epoch, last = m[1] or NONE, tonumber(m[2] or 0)
if m[1] and m[4] ~= ARGV[3] then
  if mode == 'move' then
    epoch, last = adopt(m[4], epoch, last)
    m[3] = redis.call('HGET', KEYS[1], 'ancestors')
  elseif kinship(m[4]) == 'gone' then
    epoch, last, m = NONE, 0, {}
  end
end

-- The last seq of an epoch that is part of the present one; nil of a stranger.
local function kept_of(other)
  if other == epoch then
    return last
  end
  local kept
  for ancestor, base in string.gmatch(m[3] or '', '(%x+):(%d+)') do
    if ancestor == other then
      kept = tonumber(base)
    elseif kept then
      -- A later fork may have cut deeper.
      kept = math.min(kept, tonumber(base))
    end
  end
  return kept or (other == NONE and 0 or nil)
end

-- The epoch that the receipts count in, and up to where they hold in the present one.
local known, shared
for _, member in ipairs(redis.call('ZRANGE', receipts, 0, 0, 'BYSCORE')) do
  known = string.match(member, '^e(%x+)$') or known
end
shared = known and kept_of(known) or 0

local function marks(user)
  local received = tonumber(redis.call('ZSCORE', receipts, 'c' .. user) or 0)
  local read = -tonumber(redis.call('ZSCORE', receipts, 'd' .. user) or 0)
  return math.min(received, shared), math.min(read, shared)
end

-- Makes the receipts those of the present epoch: each is cut to what both epochs share.
local function settle()
  if known == epoch then
    return
  end
  -- Refused without memory, before anything is changed.
  redis.call('ZADD', receipts, 0, 'e' .. epoch)
  if shared == 0 then
    redis.call('UNLINK', receipts)
    redis.call('ZADD', receipts, 0, 'e' .. epoch)
  else
    redis.call('ZREM', receipts, 'e' .. known)
    for score, range in pairs({ [shared] = { '(' .. text(shared), '+inf' },
      [-shared] = { '-inf', '(' .. text(-shared) } }) do
      local words = {}
      for _, member in ipairs(redis.call('ZRANGE', receipts, range[1], range[2], 'BYSCORE')) do
        words[#words + 1], words[#words + 2] = text(score), member
        if #words == 1000 then
          redis.call('ZADD', receipts, unpack(words))
          words = {}
        end
      end
      if #words > 0 then
        redis.call('ZADD', receipts, unpack(words))
      end
    end
  end
  known, shared = epoch, last
end

-- The first seq from `low` on of which the stream may have a message of this time or later; `high` if
-- there is none before it. Times never decrease.
local function first_since(wanted, low, high)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local entry = redis.call('XRANGE', KEYS[2], text(middle) .. '-0', '+', 'COUNT', 1)[1]
    if not entry or tonumber(entry[2][2]) >= wanted then
      high = middle
    else
      low = tonumber(string.match(entry[1], '^%d+')) + 1
    end
  end
  return low
end

local answer = { epoch, text(last), m[5] or '0' }
if mode == 'count' then
  for at = 7, #ARGV do
    local seq = tonumber(ARGV[at])
    local received, read = 0, 0
    if seq <= shared then
      received = redis.call('ZCOUNT', receipts, text(seq), '+inf')
      read = redis.call('ZCOUNT', receipts, '-inf', text(-seq))
    end
    answer[#answer + 1] = text(received) .. ' ' .. text(read)
  end
  return answer
end

if mode == 'time' then
  local wanted, after = tonumber(ARGV[7]), last + 1
  local first = wanted > tonumber(answer[3]) and after or first_since(wanted, 1, after)
  answer[4] = text(first - 1)
  return answer
end

if mode == 'look' then
  local received, read = 0, 0
  if ARGV[7] ~= '' then
    received, read = marks(ARGV[7])
  end
  -- The first message after that which users may still read.
  local first, since = math.max(read, last - tonumber(ARGV[8])) + 1, clock() - tonumber(ARGV[9])
  local unread = 0
  if ARGV[7] ~= '' and first <= last and tonumber(answer[3]) > since then
    first = first_since(since + 1, first, last + 1)
    -- What was before it in the stream may be gone.
    local entry = redis.call('XRANGE', KEYS[2], text(first) .. '-0', '+', 'COUNT', 1)[1]
    unread = entry and last - tonumber(string.match(entry[1], '^%d+')) + 1 or 0
  end
  answer[4] = text(received) .. ' ' .. text(read) .. ' ' .. text(unread)
  -- Refused, the receipts last until they can be written again, or until their end.
  if ttl ~= '0' then
    redis.pcall('PEXPIRE', receipts, ttl)
  end
  return answer
end

local lines, writes = {}, {}
for at = 10, #ARGV, 5 do
  local user, of, seq, kind = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2]), ARGV[at + 3]
  local kept = kept_of(of)
  if not kept then
    answer[#answer + 1] = 'x'
  else
    local received, read = marks(user)
    local to, read_to = math.max(received, math.min(seq, kept)), read
    if kind == 'd' then
      read_to = math.max(read, math.min(seq, kept))
    end
    if to == received and read_to == read then
      answer[#answer + 1] = text(received) .. ' ' .. text(read)
    else
      settle()
      local users = redis.call('ZCOUNT', receipts, 1, '+inf')
      if received == 0 and users >= tonumber(ARGV[9]) then
        answer[#answer + 1] = 'o'
      else
        redis.call('ZADD', receipts, text(to), 'c' .. user)
        if read_to > 0 then
          redis.call('ZADD', receipts, text(-read_to), 'd' .. user)
        end
        answer[#answer + 1] = text(to) .. ' ' .. text(read_to)
        lines[#lines + 1] = user .. ' ' .. text(to) .. ' ' .. text(read_to) .. ' ' .. ARGV[at + 4] .. '\n'
      end
    end
  end
end
redis.call('PEXPIRE', receipts, ttl)
if #lines > 0 then
  redis.call(ARGV[7], ARGV[8], 'receipts ' .. epoch .. '\n' .. table.concat(lines))
end
return answer
