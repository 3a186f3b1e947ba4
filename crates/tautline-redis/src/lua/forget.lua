-- KEYS: beginning of the partition, its channels; log, state and keys of a channel. ARGV: name, wall clock,
-- for how long an empty log is remembered, an epoch, whether the channel is in use.
local state = redis.call('HMGET', $STATE, 'e', 'h', 'a', 'b', 'u', 'f')
if not state[1] then
  redis.call('SREM', KEYS[2], ARGV[1])
  return 0
end
local wall, remember = tonumber(ARGV[2]), tonumber(ARGV[3])
if state[2] ~= state[4] then return 0 end
if ARGV[5] == '1' then
  redis.call('HSET', $STATE, 'u', wall)
  return 0
end
if tonumber(state[3]) + remember >= wall or tonumber(state[5] or 0) + remember >= wall then return 0 end
local beginning = redis.call('HMGET', KEYS[1], 'e', 't')
-- A log that begins again must not have an epoch that it had.
if beginning[1] == state[1] or beginning[1] == state[6] then
  if tonumber(beginning[2] or 0) + remember >= wall then return 0 end
  redis.call('HSET', KEYS[1], 'e', ARGV[4], 't', wall)
end
redis.call('DEL', $LOG, $STATE, $KEYS_OF_LOG)
redis.call('SREM', KEYS[2], ARGV[1])
return 1
