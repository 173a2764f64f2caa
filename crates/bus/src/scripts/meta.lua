-- The common part of the scripts: a room's keys and where it stands.
-- KEYS: 1 meta (hash), 2 stream, 3 and 4 results of keyed publishes (two generations), 5 state
-- (hash).
-- ARGV: 1 version of the list of servers (0 in a cluster), 2 the key that holds it, 3 life
-- (replication id, ":", version), 4 epoch to begin with; the rest is each script's own.
-- The first write of any path is one that Redis refuses when out of memory, so that a refused
-- call has changed nothing.

-- What a failed `pcall` caught, as Redis would answer it: the code first. Redis 7 raises a table;
-- 6.2 raises a text that begins with the script's line.
local function reason(caught)
  local message = type(caught) == 'table' and caught.err or tostring(caught)
  return string.match(message, '%f[%u](%u%u[%u%d]+ .*)$') or 'ERR ' .. message
end

-- Begins a room that Redis does not know, or must not trust; what a lost room left behind goes.
-- All keys of a room are there from the start: while its slot moves in a cluster, a call with a
-- key that does not exist anywhere would be sent to and fro.
local function begin(life, epoch)
  redis.call('HSET', KEYS[1], 'epoch', epoch, 'seq', '0', 'time', '0', 'life', life,
    'ancestors', '', 'state', '')
  redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
  if ARGV[1] == '0' then
    redis.call('XADD', KEYS[2], 'MAXLEN', '0', '0-1', 't', '0')
    redis.call('HSET', KEYS[3], '', '')
    redis.call('HSET', KEYS[4], '', '')
    redis.call('HSET', KEYS[5], '', '')
  end
end

-- What a room is to a caller that names another life, and the life of this server:
--  - same: the room's life is this server's; the caller is behind.
--  - renamed: only the version differs, by one: the room stayed here while the list of servers
--    changed.
--  - gone: it differs by more: the room may have been elsewhere in between, and what is here is of
--    no use any more.
--  - parted: another replication id: Redis was promoted, restored, or the slot moved.
local function kinship(known)
  local here = string.match(redis.call('INFO', 'replication'), 'master_replid:(%w+)')
  here = here and here .. ':' .. ARGV[1] or ARGV[3]
  if here == known then
    return 'same', here
  end
  local id, version = string.match(known, '^(.*):(%d+)$')
  local step = tonumber(ARGV[1]) - tonumber(version or ARGV[1])
  if step > 1 or step < 0 then
    return 'gone', here
  elseif step == 1 and (id or '') .. ':' .. ARGV[1] == here then
    return 'renamed', here
  end
  return 'parted', here
end

-- The caller and the room name different lives: the room is made one of this server. A room that
-- parted goes on in a new epoch that remembers where. Answers its epoch and seq after that.
local function adopt(known, epoch, seq)
  local kin, here = kinship(known)
  if kin == 'same' then
    return epoch, seq
  elseif kin == 'gone' then
    begin(here, ARGV[4])
    return ARGV[4], 0
  elseif kin == 'renamed' then
    redis.call('HSET', KEYS[1], 'life', here)
    return epoch, seq
  end
  local ancestors = { epoch .. ':' .. text(seq) }
  local older = redis.call('HGET', KEYS[1], 'ancestors') or ''
  for ancestor in string.gmatch(older, '[^,]+') do
    table.insert(ancestors, #ancestors, ancestor)
  end
  while #ancestors > 16 do
    table.remove(ancestors, 1)
  end
  redis.call('HSET', KEYS[1], 'epoch', ARGV[4], 'life', here,
    'ancestors', table.concat(ancestors, ','))
  return ARGV[4], seq
end

-- The end of the name of the receipts' key, where meta's key has one letter too.
local RECEIPTS_SUFFIX = 'r'

-- Prolongs a room; `has_state` says whether it keeps state.
local function live_on(ttl, now, has_state)
  redis.call('HSET', KEYS[1], 'fresh', text(now), 'ttl', ttl)
  redis.call('PEXPIRE', KEYS[1], ttl)
  redis.call('PEXPIRE', KEYS[2], ttl)
  if ARGV[1] == '0' then
    redis.call('PEXPIRE', KEYS[3], ttl)
    redis.call('PEXPIRE', KEYS[4], ttl)
    -- Rooms of the version before have no such key.
    if redis.call('PEXPIRE', KEYS[5], ttl) == 0 then
      redis.call('HSET', KEYS[5], '', '')
      redis.call('PEXPIRE', KEYS[5], ttl)
    end
  elseif has_state then
    redis.call('PEXPIRE', KEYS[5], ttl)
  end
  -- Receipts live as long as their room. Most rooms have none, so their key is not declared by every
  -- call: a key that is nowhere stops calls while its slot moves. It has the slot of the declared
  -- ones, so a cluster's node has it or refuses it (the slot is on its way), and a refusal, of a
  -- server that forbids undeclared keys too, only means that they are prolonged by another call.
  redis.pcall('PEXPIRE', string.sub(KEYS[1], 1, -2) .. RECEIPTS_SUFFIX, ttl)
end

