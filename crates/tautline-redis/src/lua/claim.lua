-- KEYS: the owner of a session. ARGV: this node, the number of this claim, the attempt, the highest number that
-- one may have, for how long it is remembered. Returns whether the claim holds, the attempt that counts, and the
-- node that had the session, if it is known.
local attempt, node, claim, before
local kept = redis.call('GET', KEYS[1])
if kept then attempt, node, claim, before = string.match(kept, '^(%d+) (%x+) (%d+) (%x*)$') end
if node == ARGV[1] and claim == ARGV[2] then return '1 ' .. attempt .. ' ' .. before end
local wanted, last = tonumber(ARGV[3]), tonumber(attempt or '0')
if attempt and wanted <= last then return '0 ' .. attempt .. ' ' .. node end
local highest = tonumber(ARGV[4])
if highest < last + 1 then highest = last + 1 end
if wanted > highest then wanted = highest end
attempt = string.format('%.0f', wanted)
redis.call('SET', KEYS[1], attempt .. ' ' .. ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. (node or ''), 'PX', ARGV[5])
return '1 ' .. attempt .. ' ' .. (node or '')
