-- KEYS: grant, freeze. Both as they stand together: read one after the other they could be of two records.
return { redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', KEYS[2]) }
