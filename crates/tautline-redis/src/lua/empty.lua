-- KEYS: log, state and keys of a channel. Empties it; its place stays.
local state = redis.call('HMGET', $STATE, 'h', 'a')
if state[1] then
  redis.call('HSET', $STATE, 'y', 0, 'b', state[1], 'p', state[2], 'o', '')
  redis.call('DEL', $LOG, $KEYS_OF_LOG)
end
return 1
