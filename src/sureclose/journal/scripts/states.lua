-- KEYS: for each plan its close and the used-up ids now and before. ARGV: for each plan the field of its id. Only reads: the
-- state of each, BURNT for one that was archived, nothing for one that the log does not know.
local states = {}
for index = 1, #ARGV do
  local at = 3 * index - 2
  local state = redis.call('HGET', KEYS[at], 'state')
  if not state and (redis.call('HEXISTS', KEYS[at + 1], ARGV[index]) == 1 or redis.call('HEXISTS', KEYS[at + 2], ARGV[index]) == 1) then
    state = 'BURNT'
  end
  states[index] = state or ''
end
return states
