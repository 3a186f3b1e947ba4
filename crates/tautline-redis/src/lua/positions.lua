-- KEYS: positions of a user, or the state of a channel. ARGV: for how long they are kept, 0 for ever; then
-- field, epoch and offset of each.
for index = 2, #ARGV, 3 do
  local kept = redis.call('HGET', KEYS[1], ARGV[index])
  local offset, epoch
  if kept then offset, epoch = string.match(kept, '^(%d+) (.*)$') end
  if epoch ~= ARGV[index + 1] or tonumber(offset) < tonumber(ARGV[index + 2]) then
    redis.call('HSET', KEYS[1], ARGV[index], ARGV[index + 2] .. ' ' .. ARGV[index + 1])
  end
end
if ARGV[1] ~= '0' then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1
