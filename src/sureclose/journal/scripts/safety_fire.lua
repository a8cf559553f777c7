-- KEYS: lease, freeze, arming, fired, right, authority events, log.
-- ARGV: owner, epoch, field of the position and rule, episode, number of the try, most tries, plan id, how long the right lasts
-- in ms, where the order would go, count of fields and values of the event, each of them, what is known of the log.
-- All that the safety controller needs to make one close is judged here, and its right to that close recorded with the event
-- that is its cause: the lease is its own, so nobody else's is valid; the account is frozen; it is armed under this very freeze
-- and for this venue and key, and its sunset has not come; and this is the next of the tries. Returns a word, the event's entry id, the count of writes.
local refused = lost(KEYS[7]) or fenced(KEYS[1], ARGV[1], ARGV[2]) or unarmed(KEYS[2], KEYS[3])
if not refused and redis.call('HGET', KEYS[3], 'place') ~= ARGV[9] then
  refused = 'NOT_ARMED'
end
if refused then
  return { refused, '' }
end
must_be(KEYS[4], 'hash')
must_be(KEYS[6], 'stream')
local episode, tries = (redis.call('HGET', KEYS[4], ARGV[3]) or ''):match('^(%S+) (%d+) ')
tries = episode == ARGV[4] and tonumber(tries) or 0
if tries >= tonumber(ARGV[6]) then
  return { 'SPENT', '' }
end
if tries + 1 ~= tonumber(ARGV[5]) then
  return { 'STALE_ATTEMPT', '' }
end
local size = tonumber(ARGV[10])
local id = redis.call('XADD', KEYS[6], '*', unpack(ARGV, 11, 10 + size))
redis.call('SET', KEYS[5], ARGV[7] .. ' ' .. ARGV[2], 'PX', ARGV[8])
redis.call('HSET', KEYS[4], ARGV[3], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[7])
return { 'OK', id, written(KEYS[7])[3] }
