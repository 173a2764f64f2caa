-- Takes orders in, removes those that have ended, and answers what changed since a revision, in one
-- step.
-- KEYS: 1 orders (hash: id -> "revision end lifted text", "rev" -> the latest revision; ends in ms by
-- Redis's clock, lifted 0 or 1).
-- ARGV after the common two: 3 the revision that the caller knows (0: none), then per order: id, end,
-- lifted, text.
-- Answers {now, revision, "whole" or "part", text, …}: all orders where the caller's revision is
-- none of this hash, else those that changed after it.
-- Of two orders with the same id the later end and a lift win, whatever came first.

local KEPT_MS = 3600000
local now, known = clock(), tonumber(ARGV[3])
local latest = tonumber(redis.call('HGET', KEYS[1], 'rev') or '0')
local next_revision = latest

local function read(value)
  local revision, ending, lifted, order = string.match(value or '', '^(%d+) (%d+) ([01]) (.*)$')
  return tonumber(revision), tonumber(ending), lifted, order
end

for at = 4, #ARGV, 4 do
  local id, ending, lifted, order = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  local _, old_end, old_lifted = read(redis.call('HGET', KEYS[1], id))
  local is_news = not old_end or ending > old_end or (lifted == '1' and old_lifted == '0')
  -- A lift stays one, whatever end another node gives the order.
  if ending > now and is_news and not (old_lifted == '1' and lifted == '0') then
    if next_revision == latest then
      -- By the clock, so that a hash which was lost and made again repeats no revision.
      next_revision = math.max(now, latest + 1)
    end
    local kept = math.max(ending, old_end or 0)
    redis.call('HSET', KEYS[1], id, text(next_revision) .. ' ' .. text(kept) .. ' ' .. lifted .. ' ' .. order)
  end
end

if next_revision == latest and known == latest then
  return { text(now), text(latest), 'part' }
end

local is_known = known > 0 and known <= latest
local answer = { text(now), text(next_revision), is_known and 'part' or 'whole' }
local last = 0
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local revision, ending, _, order = read(all[at + 1])
  if ending and ending <= now then
    -- Reading alone writes nothing: it works while Redis refuses writes.
    if next_revision ~= latest then
      redis.call('HDEL', KEYS[1], all[at])
    end
  elseif ending then
    last = math.max(last, ending)
    if not is_known or revision > known then
      answer[#answer + 1] = order
    end
  end
end
if next_revision ~= latest then
  redis.call('HSET', KEYS[1], 'rev', text(next_revision))
  redis.call('PEXPIRE', KEYS[1], text(last - now + KEPT_MS))
end
return answer
