-- KEYS: close, journal, lease, grant, freeze, warrant. ARGV: owner, epoch, head, plan id, component, records.
-- As append, of a close that has one already, and only while the plan may act at the venue.
local refused = fenced(KEYS[3], ARGV[1], ARGV[2])
  or moved_on(KEYS[1], ARGV[3])
  or forbidden(KEYS[6], KEYS[5], KEYS[4], ARGV[4], ARGV[5])
if refused then
  return { refused, '' }
end
must_be(KEYS[1], 'hash')
must_be(KEYS[2], 'stream')
record(KEYS[1], KEYS[2], ARGV[4], 6)
return { 'OK', '' }
