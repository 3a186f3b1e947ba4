-- KEYS: log, state and keys of a channel. ARGV: wall clock, retention (count, bytes, age), and whether
-- the memory of what is dropped is freed at once.
local state = redis.call('HMGET', $STATE, 'e', 'h', 'a', 'b', 'p', 'y', 'o')
if not state[1] then return 0 end
local wall, count_max = tonumber(ARGV[1]), tonumber(ARGV[2])
local bytes_max, age_max = tonumber(ARGV[3]), tonumber(ARGV[4])
local head, head_at, base, base_at = tonumber(state[2]), tonumber(state[3]), tonumber(state[4]), tonumber(state[5])
local bytes, oldest_at, dropped = tonumber(state[6]), tonumber(state[7]), false
$DROP
if dropped then
  redis.call('HSET', $STATE, 'y', bytes, 'b', base, 'p', base_at or '', 'o', oldest_at or '')
end
if base == head then
  redis.call('DEL', $LOG)
elseif ARGV[5] == '1' then
  redis.call('XTRIM', $LOG, 'MINID', base + 1)
end
return 1
