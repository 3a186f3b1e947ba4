local result = table.concat(said, ';')
redis.call('SET', KEYS[3], ARGV[1] .. ' ' .. result, 'PX', ARGV[2])
return result
