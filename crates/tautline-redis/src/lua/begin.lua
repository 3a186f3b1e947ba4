-- KEYS: beginning of a partition. ARGV: an epoch and an incarnation for a partition without.
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'e', ARGV[1], 'i', ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'e', 'i')
