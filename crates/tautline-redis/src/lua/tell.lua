-- KEYS: a stream of messages, its counter, the last message of this process, the lease of the addressee. ARGV:
-- number of this message, wall clock, how many messages the stream has, for how long it and its counter are kept,
-- this process, the message. Returns whether the addressee has its lease.
local alive = redis.call('EXISTS', KEYS[4])
local last = redis.call('GET', KEYS[3])
if last and tonumber(last) >= tonumber(ARGV[1]) then return alive end
local state, at = redis.call('HMGET', KEYS[2], 'n', 't'), tonumber(ARGV[2])
local number = (tonumber(state[1]) or 0) + 1
if state[2] and tonumber(state[2]) > at then at = tonumber(state[2]) end
redis.call('HSET', KEYS[2], 'n', number, 't', at)
redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[3], at .. '-' .. number, 'p', ARGV[6], 'm', ARGV[7])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('PEXPIRE', KEYS[2], ARGV[5])
redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[4])
return alive
