-- What a publish changes in the state of its room: the newest value of each key, in KEYS[5].
-- Its field "=" and the key has "seq end weight count", a line feed, and `count` records, the newest
-- last: "seq time weight length", a line feed, the payload. end: Redis's time in ms at which the value
-- expires, 0 for never; weight: bytes of key and data.
-- The field `state` of meta: "keys weight due forgotten scanned". Keys and weight count expired
-- entries too, until a scan finds them; `due` is not later than the first end; `forgotten` is the
-- highest seq of a removal, as removed keys leave nothing behind.
-- An item's text: "action number weight condition key"; action s (set; the number is its time to
-- live in ms, 0 for ever), r (remove) or e (remove if it has expired; the number is its seq); the
-- condition is "epoch:seq" of the key, or "-"; the key is empty for the room's own value.

-- A scan costs some µs for each entry, so it waits for so many entries for each ms.
local ENTRIES_PER_MS = 20
-- What a removal by the script has before and behind its key: a payload of the node's form.
local REMOVAL_HEAD = '\153\192\192\192\192\195\192\0'
local REMOVAL_TAIL = '\196\4null'

-- The payload that removes a key.
local function removal_of(key)
  local more = '\129\166remove\195'
  if key ~= '' then
    local head = #key < 32 and string.char(160 + #key) or '\217' .. string.char(#key)
    more = '\130\169state_key' .. head .. key .. '\166remove\195'
  end
  return REMOVAL_HEAD .. '\196' .. string.char(#more) .. more .. REMOVAL_TAIL
end

-- `known` is meta's field, `bounds` "keys weight points" of the namespace.
local function make_state(known, bounds, now)
  local max_keys, max_weight, points = string.match(bounds, '^(%d+) (%d+) (%d+)$')
  max_keys, max_weight = tonumber(max_keys), tonumber(max_weight)
  points = math.max(tonumber(points), 1)
  local keys, weight, due, forgotten, scanned =
    string.match(known or '', '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  -- What a life of the room that is over has left there is not this room's.
  local is_new = not keys
  keys, weight, due = tonumber(keys or 0), tonumber(weight or 0), tonumber(due or 0)
  forgotten, scanned = forgotten or '0', tonumber(scanned or 0)
  local is_changed = false

  local function find(key)
    local value = not is_new and redis.call('HGET', KEYS[5], '=' .. key)
    if not value then
      return nil
    end
    local seq, ends, bytes, count, from = string.match(value, '^(%d+) (%d+) (%d+) (%d+)\n()')
    return {
      seq = seq, ends = tonumber(ends), weight = tonumber(bytes), count = tonumber(count),
      records = string.sub(value, from),
    }
  end

  -- The records of an entry that stay beside a new one, their number and their weight.
  local function stay(entry, key)
    local records, count, bytes = entry.records, entry.count, entry.weight - #key
    while count >= points do
      local own, length, from = string.match(records, '^%d+ %d+ (%d+) (%d+)\n()')
      records = string.sub(records, from + tonumber(length))
      count, bytes = count - 1, bytes - tonumber(own)
    end
    return records, count, bytes
  end

  local function is_live(entry)
    return entry and (entry.ends == 0 or entry.ends > now)
  end

  -- Reads an item: what it changes, or nil and the result that refuses it.
  local function judge(item, epoch, seq)
    local action, number, bytes, condition, key =
      string.match(item, '^(%l) (%d+) (%d+) (%S+) (.*)$')
    local entry = find(key)
    local live = is_live(entry)
    local at = live and entry.seq or '0'
    if condition ~= '-' and condition ~= epoch .. ':' .. at
      and not (seq == 0 and condition == '0000000000000000:0') then
      return nil, 'v' .. at
    end
    if action == 'e' and (not entry or live or entry.seq ~= number) then
      return nil, 'v' .. at
    end
    local change = { key = key, entry = entry }
    if action == 's' then
      change.records, change.count, change.weight = '', 0, 0
      if live then
        change.records, change.count, change.weight = stay(entry, key)
      end
      change.own = tonumber(bytes)
      change.weight = change.weight + change.own + #key
      change.ends = tonumber(number) > 0 and now + tonumber(number) or 0
      local more = change.weight - (entry and entry.weight or 0)
      if (not entry and keys >= max_keys) or (more > 0 and weight + more > max_weight) then
        return nil, 'm'
      end
    end
    return change
  end

  local function drop(key, entry)
    redis.call('HDEL', KEYS[5], '=' .. key)
    keys, weight = keys - 1, weight - entry.weight
  end

  -- The item was stored under this seq.
  local function apply(change, seq, time, payload)
    is_changed = true
    if is_new then
      is_new = false
      redis.call('UNLINK', KEYS[5])
      -- Without a field the hash would be gone, and its end with it.
      redis.call('HSET', KEYS[5], '', '')
    end
    local entry, key = change.entry, change.key
    if not change.ends then
      if entry then
        drop(key, entry)
        forgotten = seq
      end
      return
    end
    local record = seq .. ' ' .. time .. ' ' .. text(change.own) .. ' ' .. #payload .. '\n' .. payload
    local head = seq .. ' ' .. text(change.ends) .. ' ' .. text(change.weight) .. ' '
      .. text(change.count + 1) .. '\n'
    redis.call('HSET', KEYS[5], '=' .. key, head .. change.records .. record)
    keys, weight = keys + (entry and 0 or 1), weight + change.weight - (entry and entry.weight or 0)
    if change.ends > 0 and (due == 0 or change.ends < due) then
      due = change.ends
    end
  end

  -- The changes that remove what has expired, if it may be something and a scan is due again.
  local function expired()
    local found = {}
    if due == 0 or due > now or now - scanned < keys / ENTRIES_PER_MS then
      return found
    end
    scanned, due, is_changed = now, 0, true
    local all = redis.call('HGETALL', KEYS[5])
    for at = 1, #all, 2 do
      local ends = tonumber(string.match(all[at + 1], '^%d+ (%d+)') or 0)
      if ends > 0 and ends <= now then
        local key = string.sub(all[at], 2)
        found[#found + 1] = { key = key, entry = find(key), payload = removal_of(key) }
      elseif ends > 0 and (due == 0 or ends < due) then
        due = ends
      end
    end
    return found
  end

  -- The text of meta's field, if it is another now.
  local function field()
    if is_changed then
      local words = { text(keys), text(weight), text(due), forgotten, text(scanned) }
      return table.concat(words, ' ')
    end
  end

  return { judge = judge, apply = apply, expired = expired, field = field }
end
