-- KEYS: state and log of a channel. ARGV: epoch, offset and time of a publication that a gateway has seen,
-- and another epoch. If the log does not have it, this epoch begins, once. Returns the epoch.
local state = redis.call('HMGET', KEYS[1], 'e', 'h', 'a')
if state[1] ~= ARGV[1] then return state[1] end
local head, offset, at = tonumber(state[2]), tonumber(ARGV[2]), tonumber(ARGV[3])
local lost = head < offset
if head == offset then
  lost = tonumber(state[3]) ~= at
elseif head > offset then
  local found = redis.call('XRANGE', KEYS[2], offset, offset, 'COUNT', 1)
  if found[1] then lost = tonumber(string.match(found[1][1], '%d+$')) ~= at end
end
if not lost then return state[1] end
-- The epoch that it began with: a log that begins in its place must not have it again.
redis.call('HSETNX', KEYS[1], 'f', state[1])
redis.call('HSET', KEYS[1], 'e', ARGV[4])
return ARGV[4]
