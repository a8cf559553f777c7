-- KEYS: grant, freeze, authority events, log, lease, last lease. ARGV: the revision that was read, the epoch of the last lease
-- where nobody may hold one now (else nothing), then lists of a count of fields and values and each of them: the grant, the
-- freeze (what is empty is taken away), and every event. MOVED when the record is another one by now, HELD when somebody has
-- the lease.
local moved = superseded(KEYS[1], KEYS[2], KEYS[3], ARGV[1])
if moved then
  return moved
end
if ARGV[2] ~= '' and (redis.call('EXISTS', KEYS[5]) == 1 or redis.call('HGET', KEYS[6], 'epoch') ~= ARGV[2]) then
  return 'HELD'
end
must_be(KEYS[4], 'hash')
local lists = {}
local at = 3
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  lists[#lists + 1] = { unpack(ARGV, at + 1, at + size) }
  at = at + size + 1
end
for index, list in ipairs(lists) do
  if index <= 2 then
    redis.call('DEL', KEYS[index])
    if #list > 0 then
      redis.call('HSET', KEYS[index], unpack(list))
    end
  else
    redis.call('XADD', KEYS[3], '*', unpack(list))
  end
end
counted(KEYS[4])
return 'OK'
