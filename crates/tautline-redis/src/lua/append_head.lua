-- KEYS: beginning of the partition, its channels, the last call of this gateway; then log, state and keys
-- of each channel. ARGV: number of this call, for how long it is remembered, an epoch and an incarnation
-- for a partition without; then for each channel: name, number of entries, retention (count, bytes, age),
-- and for each entry: wall clock, size without offset and time, origin, conditions, content.
local last = redis.call('GET', KEYS[3])
if last then
  local number, said = string.match(last, '^(%d+) (.*)$')
  if number == ARGV[1] then
    -- A write, so that WAIT has something to wait for.
    redis.call('PEXPIRE', KEYS[3], ARGV[2])
    return said
  end
  if tonumber(number) > tonumber(ARGV[1]) then return 'stale' end
end
local said, next = {}, 5
local incarnation
