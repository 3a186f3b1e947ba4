do
  local name, entries = ARGV[next], tonumber(ARGV[next + 1])
  local count_max, bytes_max = tonumber(ARGV[next + 2]), tonumber(ARGV[next + 3])
  local age_max, wall = tonumber(ARGV[next + 4]), 0
  next = next + 5
  if entries > 0 then
    local state = redis.call('HMGET', $STATE, 'e', 'h', 'a', 'b', 'p', 'y', 'o', 'z')
    local begun, fresh, dropped = state[1], false, false
    local epoch, head, head_at = state[1], tonumber(state[2]) or 0, tonumber(state[3]) or 0
    local base, base_at = tonumber(state[4]) or 0, tonumber(state[5] or '')
    local bytes, oldest_at = tonumber(state[6]) or 0, tonumber(state[7] or '')
    local first, was_empty, seen, older = head, head == base, nil, nil
    -- Requests in doubt were appended here: their first sending may still come, from the node that had it.
    local has_doubtful = state[8]
    if not begun then
      local beginning = redis.call('HMGET', KEYS[1], 'e', 'i')
      if not beginning[1] then
        redis.call('HSET', KEYS[1], 'e', ARGV[3], 'i', ARGV[4])
        beginning = { ARGV[3], ARGV[4] }
      end
      epoch, head, head_at, base, base_at, bytes, oldest_at = beginning[1], 0, 0, 0, nil, 0, nil
      first, was_empty = 0, true
    end
    local outcomes = {}
    for index = 1, entries do
      local size, origin, conditions = tonumber(ARGV[next + 1]), ARGV[next + 2], ARGV[next + 3]
      local content, kind = ARGV[next + 4], string.sub(origin, 1, 1)
      wall = tonumber(ARGV[next])
      next = next + 5
      local doubt, wanted_offset, wanted_epoch, outcome = '', '', '', nil
      if conditions ~= '' then
        doubt, wanted_offset, wanted_epoch = string.match(conditions, '^([^:]*):([^:]*):(.*)$')
      end
      if kind == 'k' then
        local found = begun and redis.call('HGET', $KEYS_OF_LOG, origin)
        if found then outcome = 'R,' .. found end
      elseif kind == 'r' and doubt == '' and has_doubtful then
        local found = begun and redis.call('HGET', $KEYS_OF_LOG, origin)
        if found then outcome = 'R,' .. found end
      elseif kind == 'r' and doubt ~= '' then
        if not seen then
          seen, older = {}, {}
          local from = base + 1
          while begun and from do
            local page = redis.call('XRANGE', $LOG, from, '+', 'COUNT', 200)
            from = nil
            for _, entry in ipairs(page) do
              local of = entry[2][2]
              local kind_of = string.sub(of, 1, 1)
              if kind_of == 'r' or kind_of == 'd' then
                local offset, at = string.match(entry[1], '^(%d+)-(%d+)$')
                seen['r' .. string.sub(of, 2)] = offset .. ',' .. at
                local session, id = string.sub(of, 2, 33), string.sub(of, 34)
                if kind_of == 'r' and (not older[session] or id < older[session]) then older[session] = id end
              end
              if #page == 200 then from = '(' .. entry[1] end
            end
          end
          incarnation = incarnation or redis.call('HGET', KEYS[1], 'i')
        end
        local session, id = string.sub(origin, 2, 33), string.sub(origin, 34)
        if seen[origin] then
          outcome = 'R,' .. seen[origin]
        elseif not (doubt == incarnation and base == 0) and not (older[session] and older[session] < id) then
          outcome = 'D'
        end
      end
      if not outcome and wanted_offset ~= '' and (tonumber(wanted_offset) ~= head or wanted_epoch ~= epoch) then
        outcome = 'C,' .. head
      end
      if not outcome then
        local before_at = head_at
        if not begun then
          begun, fresh = true, true
          redis.call('DEL', $LOG, $KEYS_OF_LOG)
          redis.call('SADD', KEYS[2], name)
        end
        head = head + 1
        if wall > head_at then head_at = wall end
        size = size + #tostring(head) + #tostring(head_at)
        local stored = origin
        if kind == 'r' and doubt ~= '' then stored = 'd' .. string.sub(origin, 2) end
        redis.call('XADD', $LOG, head .. '-' .. head_at, 'o', stored, 's', size, 'd', content)
        bytes = bytes + size
        if head - base == 1 then oldest_at = head_at end
        local place = head .. ',' .. head_at
        if kind == 'k' then redis.call('HSET', $KEYS_OF_LOG, origin, place) end
        if kind == 'r' and doubt ~= '' then
          redis.call('HSET', $KEYS_OF_LOG, origin, place)
          if not has_doubtful then redis.call('HSET', $STATE, 'z', 1) end
          has_doubtful = true
        end
        if seen and kind == 'r' then
          seen[origin] = place
          local session, id = string.sub(origin, 2, 33), string.sub(origin, 34)
          if doubt == '' and (not older[session] or id < older[session]) then older[session] = id end
        end
        outcome = 'N,' .. place .. ',' .. before_at
      end
      outcomes[index] = outcome
    end
    local base_before = base
    if head > first then
$DROP
      if dropped and base == head then
        redis.call('XTRIM', $LOG, 'MAXLEN', 0)
      elseif dropped and math.floor(base / 64) ~= math.floor(base_before / 64) then
        redis.call('XTRIM', $LOG, 'MINID', '~', base + 1)
      end
      if fresh or dropped or was_empty then
        redis.call('HSET', $STATE, 'e', epoch, 'h', head, 'a', head_at, 'y', bytes, 'b', base,
          'p', base_at or '', 'o', oldest_at or '')
      else
        redis.call('HSET', $STATE, 'h', head, 'a', head_at, 'y', bytes)
      end
    end
    said[#said + 1] = epoch .. ' ' .. base .. ' ' .. (base_at or '-') .. ' ' .. table.concat(outcomes, ' ')
  end
end
