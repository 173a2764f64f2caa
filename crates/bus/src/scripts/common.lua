-- The common part of all scripts.
-- ARGV: 1 version of the list of servers (0 in a cluster), 2 the key that holds it; the rest is each
-- script's own.

-- Whole numbers only; they are below 2^53.
local function text(number)
  return string.format('%d', number)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- A caller with another list of servers than this server knows of must not touch rooms: it may
-- look for them elsewhere than others do.
if ARGV[1] ~= '0' and (redis.call('GET', ARGV[2]) or '1') ~= ARGV[1] then
  return redis.error_reply('ROOMCASTVERSION the list of servers has another version')
end

