-- What a publish changes in the state of its room: the newest value of each key, in KEYS[5].
-- Its field "=" and the key has "seq end weight count", a line feed, and `count` records, the newest
-- last: "seq time weight length", a line feed, the payload. end: Redis's time in ms at which the value
-- expires, 0 for never; weight: bytes of key and data.
-- The field `state` of meta: "keys weight due forgotten scanned". Keys and weight count expired
-- entries too, until a scan finds them; `due` is not later than the first end; `forgotten` is the
-- highest seq of a removal, as removed keys leave nothing behind; `scanned` is the time of the last
-- whole scan that found nothing, or 0 where a scan has found something since. The field `scan` is the
-- cursor at which the next scan begins, where the last one did not come to the end.
-- An item's text: "action number weight condition key"; action s (set; the number is its time to
-- live in ms, 0 for ever), r (remove) or e (remove if it has expired; the number is its seq); the
-- condition is "epoch:seq" of the key, or "-"; the key is empty for the room's own value.

-- A scan costs some µs for each entry, so after a whole one that found nothing the next one waits for
-- so many entries for each ms; until then a scan looks at so many entries only.
local ENTRIES_PER_MS, PART_ENTRIES = 20, 1024
-- Entries that a scan reads in one step.
local STEP_ENTRIES = 256
-- Expired entries that one scan finds: each is removed by a message. And scans of one call.
local FOUND_PER_SCAN, SCANS_PER_CALL = 128, 4
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

  local scans = 0
  -- Whether something may have expired, and this call may look for it.
  local function may_scan()
    return due > 0 and due <= now and scans < SCANS_PER_CALL
  end

  -- The changes that remove what has expired, as far as one scan finds it.
  local function expired()
    scans, is_changed = scans + 1, true
    local begin = redis.call('HGET', KEYS[1], 'scan') or '0'
    local left = now - scanned >= keys / ENTRIES_PER_MS and math.huge or PART_ENTRIES
    -- From the beginning to the end in one call: then the first end of all is known.
    local cursor, is_whole, is_full, first = begin, false, false, 0
    local names, known = {}, {}
    repeat
      is_whole = is_whole or cursor == '0'
      local part = redis.call('HSCAN', KEYS[5], cursor, 'COUNT', text(STEP_ENTRIES))
      cursor = part[1]
      for at = 1, #part[2], 2 do
        local field = part[2][at]
        local ends = tonumber(string.match(part[2][at + 1], '^%d+ (%d+)') or 0)
        left = left - 1
        if ends > now and (first == 0 or ends < first) then
          first = ends
        elseif ends > 0 and ends <= now and not known[field] then
          is_full = is_full or #names == FOUND_PER_SCAN
          if not is_full then
            known[field], names[#names + 1] = true, string.sub(field, 2)
          end
        end
      end
    until is_full or left <= 0 or (cursor == '0' and (is_whole or #names > 0))
    if cursor == '0' and is_whole and not is_full then
      due = first
      scanned = now
    end
    if #names > 0 then
      scanned = 0
    end
    if cursor ~= begin then
      redis.call('HSET', KEYS[1], 'scan', cursor)
    end
    local found = {}
    for _, key in ipairs(names) do
      found[#found + 1] = { key = key, entry = find(key), payload = removal_of(key) }
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

  return { judge = judge, apply = apply, may_scan = may_scan, expired = expired, field = field }
end
