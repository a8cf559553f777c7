-- KEYS: close, journal, open, lease, grant, freeze, warrant, log. ARGV: owner, epoch, head, plan id, time, component,
-- records, what is known of the log.
-- As append, and only while the plan may act at the venue.
local refused = lost(KEYS[8])
  or fenced(KEYS[4], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or over(KEYS[1])
  or forbidden(KEYS[7], KEYS[6], KEYS[5], ARGV[4], ARGV[6])
if refused then
  return { refused, '' }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
must_be(KEYS[3], 'zset')
record(KEYS[1], KEYS[2], ARGV[4], 7)
opened(KEYS[1], KEYS[3], ARGV[4], ARGV[5])
return written(KEYS[8])
