-- KEYS: close, journal, open, lease, grant, freeze, warrant, finished, used-up ids now and before, log,
-- the safety controller's arming and its right to this close.
-- ARGV: owner, epoch, head, plan id, time, component, records, field of the id, what is known of the log.
-- As append, and only while the plan may act at the venue.
local refused = lost(KEYS[11])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or used_up(ARGV[3], KEYS[9], KEYS[10], ARGV[#ARGV - 1])
  or over(KEYS[1])
  or forbidden(KEYS[7], KEYS[6], KEYS[5], ARGV[4], ARGV[6], KEYS[12], KEYS[13], ARGV[2])
if refused then
  return { refused, '' }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
must_be(KEYS[8], 'zset')
record(KEYS[1], KEYS[2], ARGV[4], 7)
opened(KEYS[1], KEYS[3], KEYS[8], ARGV[4], ARGV[5])
return written(KEYS[11])
