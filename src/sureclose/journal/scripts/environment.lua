-- KEYS: the environment's. ARGV: mine, its life in ms. Returns who has it then.
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then
  return has
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
