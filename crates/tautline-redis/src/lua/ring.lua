-- KEYS: the keys of tickets. ARGV: what is to be replaced, and by what. Returns what is there now.
local kept = redis.call('GET', KEYS[1]) or ''
if kept ~= ARGV[1] then return kept end
redis.call('SET', KEYS[1], ARGV[2])
return ARGV[2]
