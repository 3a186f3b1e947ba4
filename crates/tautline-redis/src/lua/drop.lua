-- Drops what exceeds the retention. Wants: wall, count_max, bytes_max, age_max, and the log's state in
-- head, base, base_at, bytes, oldest_at. Sets `dropped` if the state may have changed.
local step = 1
while head > base and (head - base > count_max or bytes > bytes_max or not oldest_at or wall - oldest_at > age_max) do
  dropped = true
  local wanted = head - base - count_max
  if wanted < step then wanted = step end
  if wanted > 100 then wanted = 100 end
  step = wanted * 2
  local page = redis.call('XRANGE', $LOG, base + 1, '+', 'COUNT', wanted + 1)
  -- Foreign hands have taken entries away: nothing of this log is left.
  if #page == 0 then base, base_at, bytes, oldest_at = head, head_at, 0, nil end
  for _, entry in ipairs(page) do
    local offset, at = string.match(entry[1], '^(%d+)-(%d+)$')
    local size, origin = tonumber(entry[2][4]), entry[2][2]
    at = tonumber(at)
    if head - base > count_max or bytes > bytes_max or wall - at > age_max then
      base, base_at, bytes, oldest_at = tonumber(offset), at, bytes - size, nil
      local kind = string.sub(origin, 1, 1)
      if kind == 'k' then redis.call('HDEL', $KEYS_OF_LOG, origin) end
      if kind == 'd' then redis.call('HDEL', $KEYS_OF_LOG, 'r' .. string.sub(origin, 2)) end
    else
      oldest_at = at
      break
    end
  end
end
